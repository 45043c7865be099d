"""The phases of a session: which commands each consists of. Standard library only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.bench.h100.tasks import GRACE_S, Session, Task

_POLL_S = 2.0


@dataclass(frozen=True)
class Plan:
    """What the session is about.

    Attributes:
        lab, torch, ort: commands that start a Python with the built engines' backend, with torch, and with ONNX Runtime for CUDA.
        presets: names, or JSON files, smallest first.
        backend, precisions: of the engines.
        torch_precisions, torch_modes: of the baselines.
        device: "cuda", or "cpu" for a rehearsal.
        settings: of the closed loop.
    """

    lab: tuple[str, ...]
    torch: tuple[str, ...]
    ort: tuple[str, ...]
    presets: tuple[str, ...]
    backend: str
    precisions: tuple[str, ...]
    torch_precisions: tuple[str, ...]
    torch_modes: tuple[str, ...]
    device: str
    settings: dict[str, object]

    def bundle(self, session: Session, preset: str) -> Path:
        """Where a preset's bundle lies."""
        return session.work / f"{Path(preset).stem}.bundle"


def export(session: Session, plan: Plan) -> None:
    """Preset → bundle, weights from seed 0."""
    for preset in plan.presets:
        session.run(_export_task(session, plan, preset))


def build(session: Session, plan: Plan) -> None:
    """Start the builds, in the background, one after the other: they outlive this call. Each waits for its bundle."""
    for task in _builds(session, plan):
        session.start(task)


def wait(session: Session, plan: Plan) -> None:
    """Wait for the builds, up to the deadline."""
    while not builds_are_over(session, plan) and session.left_s > GRACE_S:
        time.sleep(min(_POLL_S, max(0.0, session.left_s - GRACE_S)))


def rebuild(session: Session, plan: Plan) -> None:
    """The same builds again, with nothing changed: how long until that is known."""
    for preset in plan.presets:
        for precision in plan.precisions:
            command = _build_command(session, plan, preset, precision)
            session.run(Task(f"rebuild.{Path(preset).stem}.{precision}", command))


def engines(session: Session, plan: Plan) -> None:
    """Every built engine in a closed loop: enqueued and, on the GPU, as a CUDA graph."""
    modes = ("enqueue", "cuda-graph") if plan.device == "cuda" else ("enqueue",)
    for preset in plan.presets:
        for precision in plan.precisions:
            for mode in modes:
                request = {"backend": plan.backend, "precision": precision, "mode": mode}
                _measure(session, plan, plan.lab, "engine_bench", preset, f"{precision}.{mode}", request)


def torch(session: Session, plan: Plan) -> None:
    """PyTorch on the same graphs: eager, compiled, compiled with CUDA graphs."""
    for preset in plan.presets:
        for precision in plan.torch_precisions:
            for mode in plan.torch_modes:
                request = {"precision": precision, "mode": mode, "device": plan.device}
                _measure(session, plan, plan.torch, "torch_baseline", preset, f"{precision}.{mode}", request)


def ort(session: Session, plan: Plan) -> None:
    """ONNX Runtime's CUDA provider on the same graphs, as exported and derived."""
    for preset in plan.presets:
        for precision in dict.fromkeys(("fp32", *(p for p in plan.precisions if p == "fp16"))):
            request = {"precision": precision, "provider": plan.device}
            _measure(session, plan, plan.ort, "ort_cuda", preset, precision, request)


def warm(session: Session, plan: Plan) -> None:
    """Processes that load, verify and bind every engine of a bundle."""
    for preset in plan.presets:
        for precision in plan.precisions:
            request = {"backend": plan.backend, "precision": precision, "runs": 7}
            _measure(session, plan, plan.lab, "warm_start", preset, precision, request)


def corrupt(session: Session, plan: Plan) -> None:
    """Damaged and hostile engines of the first preset: each must be refused in words, with exit code 3."""
    preset, precision = plan.presets[0], plan.precisions[0]
    out = session.work / "records" / f"{Path(preset).stem}.corrupt.{plan.backend}.{precision}.json"
    command = (
        *plan.lab, "-m", "videoscene_rt.bench.h100.corrupt", str(plan.bundle(session, preset)), plan.backend, precision, str(out),
    )  # fmt: skip
    session.run(Task(f"corrupt.{Path(preset).stem}.{precision}", command))


PHASES: dict[str, Callable[[Session, Plan], None]] = {
    "export": export,
    "build": build,
    "wait": wait,
    "rebuild": rebuild,
    "engines": engines,
    "torch": torch,
    "ort": ort,
    "warm": warm,
    "corrupt": corrupt,
}
TIMED = ("rebuild", "engines", "torch", "ort", "warm")
"""These are not run beside a build: each would falsify the other's times."""


def builds_are_over(session: Session, plan: Plan) -> bool:
    """No build that was started is still running."""
    return all(session.settle(task) != "running" for task in _builds(session, plan))


def _export_task(session: Session, plan: Plan, preset: str) -> Task:
    out = str(plan.bundle(session, preset))
    command = (
        *plan.torch,
        "-m",
        "videoscene_rt.cli.main",
        "export",
        "--preset",
        preset,
        "--out",
        out,
        "--json",
        "--force",
    )
    return Task(f"export.{Path(preset).stem}", command)


def _builds(session: Session, plan: Plan) -> Iterator[Task]:
    """One task a preset, its precisions in a row in one shell, so that no two builds of it share the GPU."""
    for preset in plan.presets:
        if not session.done(f"export.{Path(preset).stem}"):
            continue
        yield Task(f"build.{Path(preset).stem}", ("/bin/sh", "-c", _in_a_row(session, plan, preset)))


def _in_a_row(session: Session, plan: Plan, preset: str) -> str:
    """Shell: every precision, and the worst exit code; under a lock, so that the presets follow one another too."""
    import shlex

    lock = shlex.quote(str(session.work / "build.lock"))
    lines = [
        f"{shlex.join(_build_command(session, plan, preset, precision))} || worst=$?" for precision in plan.precisions
    ]
    return f"exec 9>{lock}; flock 9; worst=0; {'; '.join(lines)}; exit $worst"


def _build_command(session: Session, plan: Plan, preset: str, precision: str) -> tuple[str, ...]:
    bundle = str(plan.bundle(session, preset))
    return (
        *plan.lab, "-m", "videoscene_rt.cli.main", "build", bundle, "--backend", plan.backend, "--precision", precision, "--json",
    )  # fmt: skip


def _measure(
    session: Session,
    plan: Plan,
    python: tuple[str, ...],
    module: str,
    preset: str,
    what: str,
    request: Mapping[str, object],
) -> None:
    stem = Path(preset).stem
    if not session.done(f"export.{stem}"):
        return
    name = f"{module}.{stem}.{what}"
    told: dict[str, object] = {
        "bundle": str(plan.bundle(session, preset)),
        "out": str(session.work / "records"),
        "settings": plan.settings,
        **request,
    }
    command = (*python, "-m", f"videoscene_rt.bench.{module}", session.request(name, told))
    session.run(Task(name, command, partly=True))
