"""What a session is about, and how it asks for one measurement. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.bench.h100.tasks import Session, Task


@dataclass(frozen=True)
class Plan:
    """What the session is about.

    Attributes:
        lab, torch, ort: commands that start a Python with the built engines' backend, with torch, and with ONNX Runtime for CUDA.
        presets: names, or JSON files, smallest first.
        backend, precisions: of the engines.
        torch_precisions, torch_modes: of the baselines.
        device: "cuda", or "cpu" for a rehearsal.
        settings: of the closed loop around one graph.
        source: the checkout: where tests/ and CMakeLists.txt are.
        build_options: more arguments for `vsrt build`, for the engines of ``backend``.
        beside: the presets' builds run beside each other, not one after the other.
        timings: a folder of TensorRT timing caches of a former session; None without one.
        also: more pairs of backend and precision that are built and whose whole step is measured.
        steps: of every series of a whole step.
        splat: the fields of `splat_bench`'s request beside out.
        tests: arguments for pytest.
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
    source: Path
    build_options: tuple[str, ...]
    beside: bool
    timings: Path | None
    also: tuple[tuple[str, str], ...]
    steps: int
    splat: dict[str, object]
    tests: tuple[str, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every pair of backend and precision that is built."""
        return (*((self.backend, precision) for precision in self.precisions), *self.also)

    def bundle(self, session: Session, preset: str) -> Path:
        """Where a preset's bundle lies."""
        return session.work / f"{Path(preset).stem}.bundle"


def is_built(bundle: Path, backend: str, precision: str) -> bool:
    """Whether the bundle has engines of this pair, or the pair needs none."""
    if (backend, precision) == ("onnxruntime", "fp32"):
        return True
    try:
        selected = json.loads((bundle / "engines" / "selected.json").read_text())
    except (OSError, ValueError):
        return False
    return f"{backend}/{precision}" in selected.get("pairs", {})


def measure(
    session: Session,
    plan: Plan,
    python: tuple[str, ...],
    module: str,
    preset: str,
    what: str,
    request: Mapping[str, object],
) -> None:
    """Run a measuring program on a preset's bundle, if there is one.

    Args:
        python: which interpreter.
        module: the program, in videoscene_rt.bench.
        what: the rest of the task's name.
        request: the fields beside bundle, out and settings, which it may replace.
    """
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
