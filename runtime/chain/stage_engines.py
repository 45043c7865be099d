"""The engine of each graph that a chain's stages run: the backend's, or a kernel of ours."""

from __future__ import annotations

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.device import Device
from videoscene_rt.engines.engine import Backend, Engine
from videoscene_rt.engines.keep import keep_engine
from videoscene_rt.engines.kernels.watch import watch_engine


def load_engines(plan: ChainPlan, bundle: Bundle, backend: Backend, device: Device) -> dict[str, Engine]:
    """Engines by graph, each loaded once.

    Args:
        plan: whose stages. bundle: where the graphs are.
        backend: what loads them. device: that it runs on, and so do our kernels.

    Raises:
        BackendError: the backend cannot run a graph.
    """
    engines: dict[str, Engine] = {}
    for stage in plan.every_stage:
        if stage.graph not in engines:
            engines[stage.graph] = _engine(plan, bundle, backend, device, stage.graph)
    return engines


def _engine(plan: ChainPlan, bundle: Bundle, backend: Backend, device: Device, graph: str) -> Engine:
    if graph == "watch":
        return watch_engine(device, plan.buffer("z_0").shape)
    if graph == "keep":
        return keep_engine(device, *plan.buffer("frames").shape[1:3])
    return backend.load(bundle, graph)
