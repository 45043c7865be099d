"""``python -m videoscene_rt.bench.soak BUNDLE --minutes 30 --rate 2 --out soak.json``

Exit codes: 0 every limit was kept; 2 something that was asked for is wrong; 3 a limit was exceeded, or a step failed; 130 and 143
interrupted by SIGINT and SIGTERM, with a record that says how far it came.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videoscene_rt.bench.soak.facts import SoakRecord
from videoscene_rt.bench.soak.limits import Limits
from videoscene_rt.bench.soak.measuring import exceeded, soak
from videoscene_rt.bench.soak.request import SoakRequest
from videoscene_rt.engines.errors import BackendError, VsrtError
from videoscene_rt.ladder import Ladder

_INTERRUPTED, _TERMINATED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """The program; gives its exit code. A line a minute on standard error, the findings on standard output."""
    told = _parser().parse_args(argv)
    before = _on_terminate(lambda number, frame: sys.exit(_TERMINATED))
    try:
        record = soak(_request(told), _progress)
    except VsrtError as error:
        return _error(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _error(f"interrupted; {told.out} says how far it came, if it had begun", _INTERRUPTED)
    finally:
        _on_terminate(before)
    for finding in record.findings:
        word = "not told" if finding.held is None else "held" if finding.held else "EXCEEDED"
        sys.stdout.write(f"{word}: {finding.name}: {finding.said}\n")
    if not record.held:
        return _error(f"the soak exceeded {exceeded(record)} (see {told.out})", BackendError.exit_code)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.bench.soak",
        description="Run a bundle for minutes or hours: do memory, latencies and output stay what they were?",
    )
    parser.add_argument("bundle", type=Path, help="its folder; with its engines, where the backend needs them built")
    parser.add_argument("--out", type=Path, required=True, help="the record, JSON; written on the way too")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long; 10 if not given")
    parser.add_argument("--rate", type=float, metavar="HZ", help="inputs a second; a closed loop if not given")
    parser.add_argument(
        "--deadline",
        type=float,
        metavar="MS",
        help="from an input's arrival to its result; a period of the rate if not given",
    )
    parser.add_argument("--by-deadline", action="store_true", help="each step is told what is left of its deadline")
    parser.add_argument(
        "--ladder", type=Path, metavar="JSON", help="for --by-deadline: the rungs, and when to change them"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="between two looks at memory and output; 20 if not given",
    )
    parser.add_argument(
        "--warmup",
        type=float,
        metavar="SECONDS",
        help="nothing of it is judged; a minute, or a tenth of the time where that is less, if not given",
    )
    parser.add_argument(
        "--scene",
        type=Path,
        action="append",
        default=[],
        help="a scene folder; once for each. Built-in rooms fill up to three",
    )
    parser.add_argument("--backend", default="onnxruntime", help="what runs the graphs, as for vsrt run")
    parser.add_argument("--precision", default="fp32", help="a ceiling, as it was built")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--threads", type=int, help="for one operator on the CPU; every core if not given")
    parser.add_argument(
        "--memory", choices=("auto", "mapped", "copied"), default="auto", help="where inputs and results lie"
    )
    parser.add_argument("--limits", type=Path, metavar="JSON", help="some of the limits; the others stay")
    return parser


def _request(told: argparse.Namespace) -> SoakRequest:
    ladder = None
    if told.by_deadline:
        ladder = Ladder() if told.ladder is None else Ladder.read(told.ladder)
    return SoakRequest(
        bundle=told.bundle,
        out=told.out,
        minutes=told.minutes,
        every_s=told.every,
        warmup_s=told.warmup,
        rate_hz=told.rate,
        deadline_ms=told.deadline,
        ladder=ladder,
        scenes=tuple(told.scene),
        backend=told.backend,
        precision=told.precision,
        seed=told.seed,
        threads=told.threads,
        memory=told.memory,
        limits=Limits() if told.limits is None else Limits.read(told.limits),
    )


def _progress(record: SoakRecord) -> None:
    if record.state == "running" and record.looks:
        resident = record.looks[-1].resident_bytes
        memory = "" if resident is None else f", {resident / 2**20:.0f} MiB"
        unkept = exceeded(record)
        sys.stderr.write(
            f"{record.seconds:.0f} s: {record.steps:,} steps{memory}{f'; so far over its limit: {unkept}' if unkept else ''}\n"
        )


def _error(text: str, code: int) -> int:
    sys.stderr.write(f"error: {' '.join(text.split())}\n")
    return code


def _on_terminate(handler: Any) -> Any:
    if threading.current_thread() is threading.main_thread():
        return signal.signal(signal.SIGTERM, handler)
    return None


if __name__ == "__main__":
    sys.exit(main())
