"""The phases that measure a bundle's graphs one by one. Standard library only."""

from __future__ import annotations

from pathlib import Path

from videoscene_rt.bench.h100.plan import Plan, measure
from videoscene_rt.bench.h100.tasks import Session, Task


def engines(session: Session, plan: Plan) -> None:
    """Every built engine in a closed loop: enqueued and, on the GPU, as a CUDA graph."""
    modes = ("enqueue", "cuda-graph") if plan.device == "cuda" else ("enqueue",)
    for preset in plan.presets:
        for precision in plan.precisions:
            for mode in modes:
                request = {"backend": plan.backend, "precision": precision, "mode": mode}
                measure(session, plan, plan.lab, "engine_bench", preset, f"{precision}.{mode}", request)


def torch(session: Session, plan: Plan) -> None:
    """PyTorch on the same graphs: eager, compiled, compiled with CUDA graphs."""
    for preset in plan.presets:
        for precision in plan.torch_precisions:
            for mode in plan.torch_modes:
                request = {"precision": precision, "mode": mode, "device": plan.device}
                measure(session, plan, plan.torch, "torch_baseline", preset, f"{precision}.{mode}", request)


def ort(session: Session, plan: Plan) -> None:
    """ONNX Runtime's CUDA provider on the same graphs, as exported and derived."""
    for preset in plan.presets:
        for precision in dict.fromkeys(("fp32", *(p for p in plan.precisions if p == "fp16"))):
            request = {"precision": precision, "provider": plan.device}
            measure(session, plan, plan.ort, "ort_cuda", preset, precision, request)


def warm(session: Session, plan: Plan) -> None:
    """Processes that load, verify and bind every engine of a bundle."""
    for preset in plan.presets:
        for precision in plan.precisions:
            request = {"backend": plan.backend, "precision": precision, "runs": 7}
            measure(session, plan, plan.lab, "warm_start", preset, precision, request)


def corrupt(session: Session, plan: Plan) -> None:
    """Damaged and hostile engines of the first preset: each must be refused in words, with exit code 3."""
    preset, precision = plan.presets[0], plan.precisions[0]
    out = session.work / "records" / f"{Path(preset).stem}.corrupt.{plan.backend}.{precision}.json"
    command = (
        *plan.lab, "-m", "videoscene_rt.bench.h100.corrupt", str(plan.bundle(session, preset)), plan.backend, precision, str(out),
    )  # fmt: skip
    session.run(Task(f"corrupt.{Path(preset).stem}.{precision}", command))
