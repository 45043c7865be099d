"""``python -m tests.fuzz --minutes 10 --out RECORD.json``: exit code 0 where nothing was found, 1 otherwise."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

from tests.fuzz.running import CASE_S, MEMORY_MIB, Tally, fuzz
from tests.fuzz.targets import TARGETS, Target


def main() -> int:
    """Fuzz every target in turn until the time is over, and write the record."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Feed the readers with what no writer wrote."
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--out", type=Path, help="the record, JSON")
    parser.add_argument(
        "--finds", type=Path, default=Path("build/fuzz"), help="where the smallest case of each find is kept"
    )
    parser.add_argument("targets", nargs="*", help="by default all")
    told = parser.parse_args()
    wanted = [target for target in TARGETS if not told.targets or target.name in told.targets]
    tallies = {target.name: Tally() for target in wanted}
    began = time.time()
    rounds = 0
    while time.time() - began < told.minutes * 60:
        target = wanted[rounds % len(wanted)]
        fuzz(target, told.seed + rounds, tallies[target.name], lambda data, _, t=target: _keep(told.finds, t, data))  # type: ignore[misc]
        rounds += 1
        if rounds % len(wanted) == 0:
            _progress(tallies, time.time() - began)
    record = _record(tallies, began, rounds, told.seed)
    if told.out is not None:
        told.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(json.dumps(record, indent=1) + "\n")
    return 1 if any(tally.finds for tally in tallies.values()) else 0


def _keep(folder: Path, target: Target, data: bytes) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{target.name}-{len(list(folder.iterdir())):03d}"
    path.write_bytes(data)
    return path.name


def _progress(tallies: dict[str, Tally], seconds: float) -> None:
    parts = (f"{name} {tally.cases:,} ({len(tally.finds)})" for name, tally in tallies.items())
    sys.stderr.write(f"\r{seconds:.0f} s: cases (finds): {', '.join(parts)}   ")


def _record(tallies: dict[str, Tally], began: float, rounds: int, first: int) -> dict[str, object]:
    return {
        "what": "fuzzing of the readers (python -m tests.fuzz)",
        "date": time.strftime("%Y-%m-%d", time.gmtime(began)),
        "seconds": round(time.time() - began, 1),
        "rounds": rounds,
        "first_seed": first,
        "limits": {"seconds_a_case": CASE_S, "memory_mib": MEMORY_MIB},
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("hypothesis", "numpy", "pydantic")},
        "targets": {
            name: {
                "cases": tally.cases,
                "distinct": len(tally.seen),
                "accepted": tally.accepted,
                "slowest_s": round(tally.slowest_s, 3),
                "finds": tally.finds,
            }
            for name, tally in tallies.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
