"""The phases that make bundles and engines. Standard library only."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from videoscene_rt.bench.h100.plan import Plan
from videoscene_rt.bench.h100.tasks import GRACE_S, Session, Task

_POLL_S = 2.0
REBUILD_LIMIT_S = 1.0


def export(session: Session, plan: Plan) -> None:
    """Preset → bundle, with the weights that come with it, else those of seed 0."""
    for preset in plan.presets:
        bundle = str(plan.bundle(session, preset))
        told = ("export", "--preset", preset, "--out", bundle, "--json", "--force")
        session.run(Task(f"export.{Path(preset).stem}", (*plan.torch, "-m", "videoscene_rt.cli.main", *told)))


def build(session: Session, plan: Plan) -> None:
    """Start the builds in the background: they outlive this call. Each waits for its bundle."""
    for preset in plan.presets:
        bring_timings(session, plan, preset)
    for task in _builds(session, plan):
        session.start(task)


def wait(session: Session, plan: Plan) -> None:
    """Wait for the builds, up to the deadline."""
    while not builds_are_over(session, plan) and session.left_s > GRACE_S:
        time.sleep(min(_POLL_S, max(0.0, session.left_s - GRACE_S)))


def builds_are_over(session: Session, plan: Plan) -> bool:
    """No build that was started is still running."""
    return all(session.settle(task) != "running" for task in _builds(session, plan))


def rebuild(session: Session, plan: Plan) -> None:
    """The same builds again, with nothing changed: how long until that is known. The record is records/rebuild.json."""
    found = {}
    for preset in plan.presets:
        for pair in plan.pairs:
            name = f"{Path(preset).stem}.{'.'.join(pair)}"
            session.run(Task(f"rebuild.{name}", _build_command(session, plan, preset, pair)))
            found[name] = session.state.get(f"rebuild.{name}", {})
    limits = {"limit_s": REBUILD_LIMIT_S, "what": "vsrt build with nothing changed, the whole process"}
    (session.work / "records" / "rebuild.json").write_text(json.dumps({"rebuilds": found, **limits}, indent=1))


def bring_timings(session: Session, plan: Plan, preset: str) -> None:
    """Copy a former session's timing caches into a bundle that has none: ``timings/PRESET/*.cache``, or else ``timings/*.cache``."""
    bundle = plan.bundle(session, preset)
    if plan.timings is None or not bundle.is_dir():
        return
    own = plan.timings / Path(preset).stem
    engines = bundle / "engines"
    engines.mkdir(mode=0o700, exist_ok=True)
    for cache in sorted((own if own.is_dir() else plan.timings).glob("*.cache")):
        target = engines / cache.name
        if not target.exists():
            shutil.copyfile(cache, target)
            target.chmod(0o600)


def timings(session: Session, plan: Plan) -> dict[str, Path]:
    """Every timing cache there is, by the name under which `bring_timings` finds it again."""
    return {
        f"timings/{Path(preset).stem}/{cache.name}": cache
        for preset in plan.presets
        for cache in sorted((plan.bundle(session, preset) / "engines").glob("*.cache"))
    }


def _builds(session: Session, plan: Plan) -> Iterator[Task]:
    """One task a preset, its pairs in a row in one shell, so that no two builds of a bundle wait for one another."""
    for preset in plan.presets:
        if session.done(f"export.{Path(preset).stem}"):
            yield Task(f"build.{Path(preset).stem}", ("/bin/sh", "-c", _in_a_row(session, plan, preset)))


def _in_a_row(session: Session, plan: Plan, preset: str) -> str:
    """Shell: every pair, and the worst exit code; under a lock where the presets are to follow one another too."""
    lock = shlex.quote(str(session.work / "build.lock"))
    alone = "" if plan.beside else f"exec 9>{lock}; flock 9; "
    lines = [f"{shlex.join(_build_command(session, plan, preset, pair))} || worst=$?" for pair in plan.pairs]
    return f"{alone}worst=0; {'; '.join(lines)}; exit $worst"


def _build_command(session: Session, plan: Plan, preset: str, pair: tuple[str, str]) -> tuple[str, ...]:
    backend, precision = pair
    told = ("build", str(plan.bundle(session, preset)), "--backend", backend, "--precision", precision, "--json")
    options = plan.build_options if backend == plan.backend else ()
    return (*plan.lab, "-m", "videoscene_rt.cli.main", *told, *options)
