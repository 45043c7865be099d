"""The phases that prove and measure the whole step. Standard library only."""

from __future__ import annotations

from videoscene_rt.bench.h100.plan import Plan, is_built, measure
from videoscene_rt.bench.h100.tasks import Session, Task

_MODES = ("eager", "reduce-overhead")
"""How torch runs the whole step, where the plan's modes have it."""
_FEW_STEPS = 100


def kernels(session: Session, plan: Plan) -> None:
    """CMake, CTest, and compute-sanitizer over the tests that run on a GPU."""
    out = session.work / "records" / "kernels.json"
    told = (str(plan.source), str(session.work / "kernels"), str(out))
    session.run(Task("kernels", (*plan.lab, "-m", "videoscene_rt.bench.h100.kernels", *told)))


def splat(session: Session, plan: Plan) -> None:
    """The renderer's kernels alone."""
    request = {"out": str(session.work / "records"), **plan.splat}
    session.run(Task("splat", (*plan.lab, "-m", "videoscene_rt.bench.splat_bench", session.request("splat", request))))


def gputests(session: Session, plan: Plan) -> None:
    """tests/gpu in both interpreters: torch and TensorRT cannot share one."""
    bundle = plan.bundle(session, plan.presets[0])
    for name, python in (("lab", plan.lab), ("torch", plan.torch)):
        out = session.work / "records" / f"gputests.{name}.json"
        told = (str(plan.source), str(bundle), str(out), *plan.tests)
        session.run(Task(f"gputests.{name}", (*python, "-m", "videoscene_rt.bench.h100.gputests", *told)))


def chain(session: Session, plan: Plan) -> None:
    """The whole step, captured and uncaptured; in full for the first pair, the chain alone for the others."""
    settings = {"iterations": plan.steps, "seconds": 0.0}
    for preset, backend, precision in _built(session, plan):
        full = (backend, precision) == plan.pairs[0]
        request = {"backend": backend, "precision": precision, "settings": settings, "full": full}
        measure(session, plan, plan.lab, "chain_bench", preset, f"{backend}.{precision}", request)


def torch_step(session: Session, plan: Plan) -> None:
    """The same step in PyTorch, with the kernels' library where the phase `kernels` has built it."""
    settings = {"iterations": plan.steps, "seconds": 0.0}
    found = sorted((session.work / "kernels").glob("**/libvideoscene_rt_kernels.so"))
    kernels = {"kernels": str(found[0])} if found and plan.device == "cuda" else {}
    for preset in plan.presets:
        for mode in (mode for mode in _MODES if mode in plan.torch_modes):
            request = {"mode": mode, "device": plan.device, "settings": settings, "precision": plan.precisions[0]}
            measure(session, plan, plan.torch, "torch_step", preset, mode, {**request, **kernels})


def equality(session: Session, plan: Plan) -> None:
    """Equal input gives equal bits, whatever way the chain runs and whatever ran between; over many steps for the first pair."""
    for preset, backend, precision in _built(session, plan):
        steps = plan.steps if (backend, precision) == plan.pairs[0] else min(plan.steps, _FEW_STEPS)
        request = {"backend": backend, "precision": precision, "settings": {}, "steps": steps}
        measure(session, plan, plan.lab, "equality", preset, f"{backend}.{precision}", request)


def _built(session: Session, plan: Plan) -> list[tuple[str, str, str]]:
    return [
        (preset, *pair)
        for preset in plan.presets
        for pair in plan.pairs
        if is_built(plan.bundle(session, preset), *pair)
    ]
