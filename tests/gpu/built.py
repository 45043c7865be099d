"""A bundle and what runs it on the GPU under test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoscene_rt import Pipeline
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.engine import Engine
from videoscene_rt.engines.hosted import HostedEngine
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend


class HostedBackend:
    """The renderer as our kernel, every other graph on the host between two copies: a GPU's memory, streams and arrays without
    anything that builds engines for it."""

    name = "hosted"
    device = "cuda"

    def __init__(self) -> None:
        self._host = OnnxRuntimeBackend()
        self.runs_on = CudaDevice()
        self.versions = self._host.versions

    def allocate(self, dtype: str, shape: tuple[int, ...]) -> CudaMemory:
        return self.runs_on.allocate(dtype, shape)

    def synchronize(self) -> None:
        self.runs_on.synchronize()

    def load(self, bundle: Bundle, graph: str) -> Engine:
        if graph != "renderer":
            return HostedEngine(self._host.load(bundle, graph), self.runs_on, "cuda")
        from videoscene_rt.engines.kernels.splat import SplatEngine

        return SplatEngine(self.runs_on, bundle.graph(graph), bundle.manifest.preset.renderer)


@dataclass(frozen=True)
class Built:
    """Where the engines are; "hosted" stands for `HostedBackend`."""

    folder: Path
    backend: str
    precision: str

    def load(self, **options: Any) -> Pipeline:
        """A pipeline; see `Pipeline.load`."""
        if self.backend != "hosted":
            return Pipeline.load(self.folder, self.backend, self.precision, **options)
        bundle, backend = Bundle.open(self.folder), HostedBackend()
        chosen = {"slots": 2, "capture": True, **options}
        ladder = chosen.pop("ladder", None)
        chain = Chain(plan_chain(bundle.manifest, streaming=True), bundle, backend, **chosen)
        chain.write("prompt", bundle.prompt())
        return Pipeline(bundle, chain, backend, ladder=ladder)
