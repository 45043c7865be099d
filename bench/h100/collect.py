"""What a session gives back: everything measured so far in one archive, the state, and the tables. Standard library only."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from videoscene_rt.bench.h100.building import timings
from videoscene_rt.bench.h100.plan import Plan
from videoscene_rt.bench.h100.tasks import Session


def collect(session: Session, plan: Plan, out: Path, subject: str | None = None) -> None:
    """Write results.tar.gz (records, logs, timing caches, state, tables) and state.json; and table.md where there is a subject."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "state.json").write_text(json.dumps(session.state, indent=1))
    if subject is not None:
        (out / "table.md").write_text(_tables(session, plan, subject))
    temporary = out / ".results.tmp"
    with tarfile.open(temporary, "w:gz") as archive:
        for folder in ("records", "logs"):
            archive.add(session.work / folder, arcname=folder)
        for name, cache in timings(session, plan).items():
            archive.add(cache, arcname=name)
        for name in ("state.json", "table.md"):
            if (out / name).exists():
                archive.add(out / name, arcname=name)
    temporary.replace(out / "results.tar.gz")


def _tables(session: Session, plan: Plan, subject: str) -> str:
    parts = []
    for preset in plan.presets:
        stem = Path(preset).stem
        mine = [path for path in sorted((session.work / "records").glob(f"{stem}.*.json")) if is_record(path)]
        if mine:
            parts.append(f"## {stem}\n\n{_say(plan, 'compare', '--subject', subject, *map(str, mine))}")
    whole = sorted(map(str, (session.work / "records").glob("*.json")))
    if whole:
        parts.append(_say(plan, "chain_table", *whole))
    return "\n".join(parts)


def is_record(path: Path) -> bool:
    """A record of one measurement (`videoscene_rt.bench.record`), and not a file of a phase's own, by its first words."""
    with path.open("rb") as file:
        return b'"identity"' in file.read(256)


def _say(plan: Plan, module: str, *arguments: str) -> str:
    command = [*plan.lab, "-m", f"videoscene_rt.bench.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout or done.stderr
