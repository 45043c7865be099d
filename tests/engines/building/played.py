"""GPUs and TensorRT played where there are none: plans are a few bytes, and the reference plays the part of the engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.building.order import Order, Produced
from videoscene_rt.engines.building.produce import produce
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.machine import Gpu
from videoscene_rt.engines.onnxruntime_cuda import OnnxRuntimeCudaBackend
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.engines.store.located import Located, Locator
from videoscene_rt.engines.store.selection import selected_for

ADA = Gpu("NVIDIA RTX 4000 Ada", "8.9")
VERSIONS = {"tensorrt": "8.6.1", "tensorrt-rtx-cu13": "1.7.1", "onnxruntime-gpu": "1.31.0"}


def located(folder: Path, graph: str, backend: str, ceiling: str = "fp16") -> Located:
    """What would be loaded for a graph."""
    return selected_for(backend, ceiling)(Bundle.open(folder), graph)


class Maker:
    """`produce` whose plans say which graph they are of; kernels and what runs on the host are the real thing."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, order: Order, activations: Any, on_progress: Any) -> Produced:
        self.made.append(order.graph)
        if order.graph == "renderer" or order.here.can is None:
            return produce(order, activations, on_progress)
        (order.folder / order.here.kind.engine_file).write_bytes(f"plan of {order.graph}".encode())
        return Produced(attempt={"level": 3})


class PlayedTensorRt(OnnxRuntimeBackend):
    """The reference in the place of every engine, once the plan is the right one."""

    def __init__(self, locate: Locator) -> None:
        super().__init__(1)
        self._found = locate

    def load(self, bundle: Bundle, graph: str) -> Any:
        found = self._found(bundle, graph)
        if found.route == "engine":
            assert found.read() == f"plan of {graph}".encode()
        return super().load(bundle, graph)


class PlayedOnnxRuntimeCuda(OnnxRuntimeCudaBackend):
    """ONNX Runtime's CPU provider in the place of CUDA's; the reference in that of kernels and of the host."""

    def __init__(self, locate: Locator) -> None:
        super().__init__(lambda bundle, graph: locate(bundle, graph).verified(), None)
        self._found = locate

    def load(self, bundle: Bundle, graph: str) -> Any:
        if self._found(bundle, graph).route in ("kernel", "host"):
            return open_backend(threads=1).load(bundle, graph)
        return super().load(bundle, graph)


def open_played(name: str, precision: str, threads: int | None, locate: Locator) -> Backend:
    """In `open_backend`'s place."""
    return PlayedOnnxRuntimeCuda(locate) if name == "onnxruntime-cuda" else PlayedTensorRt(locate)
