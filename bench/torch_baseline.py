"""PyTorch as a baseline: ``python -m videoscene_rt.bench.torch_baseline request.json``, in an interpreter that has torch.

The very modules that were exported, with the bundle's weights: from its seed, from its preset, or from the checkpoint that the request
names.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from videoscene_rt.bench.inputs import Arrays, seeded_inputs
from videoscene_rt.bench.measure import Work, identify, measure, seeded
from videoscene_rt.bench.record import Record
from videoscene_rt.bench.request import Request, main, measure_graphs
from videoscene_rt.bench.torch_lowering import lowered
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.kept import Kept
from videoscene_rt.export.models import build_models
from videoscene_rt.export.trained import shipped
from videoscene_rt.export.trained.opening import open_shipped

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchRequest(Request):
    """Which graphs, and how torch runs them: eagerly, compiled, or compiled with CUDA graphs ("reduce-overhead")."""

    mode: Literal["eager", "compile", "reduce-overhead"] = "eager"
    device: Literal["cuda", "cpu"] = "cuda"
    checkpoint: Path | None = None
    threads: int | None = None


class TorchTimer:
    """`videoscene_rt.bench.closed_loop.Timer` with torch's CUDA events on the current stream."""

    def __init__(self) -> None:
        self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]

    def start(self) -> None:
        """See `Timer.start`."""
        self._begin.record()

    def stop(self) -> None:
        """See `Timer.stop`."""
        self._end.record()

    def elapsed_ms(self) -> float:
        """See `Timer.elapsed_ms`."""
        return float(self._begin.elapsed_time(self._end))


def measure_torch(request: TorchRequest) -> dict[str, Any]:
    """Measure the graphs of a request; see `measure_graphs`.

    Raises:
        InputError: the request or the bundle is wrong, or the checkpoint is not the bundle's.
        BackendError: there is no CUDA device.
    """
    if request.precision not in _DTYPES:
        raise InputError(f"torch has no precision {request.precision!r} here; it has {', '.join(_DTYPES)}")
    if request.device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device", 'measure on "cpu", or on a machine with a GPU')
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    torch.backends.cudnn.benchmark = True
    bundle = Bundle.open(request.bundle)
    sources = {source.name: source for source in graph_sources(bundle, request.checkpoint)}
    with torch.no_grad():
        return measure_graphs(request, bundle, lambda graph: _measure(bundle, sources[graph], request))


def graph_sources(bundle: Bundle, checkpoint: Path | None) -> list[GraphSource]:
    """The torch modules of a bundle's graphs, with its weights.

    Raises:
        InputError: the bundle is of a checkpoint that does not come with its preset, and none was named, or another one.
        BackendError: the weights that come with the preset are missing or damaged.
    """
    manifest = bundle.manifest
    provenance = manifest.provenance
    opened = _opened(checkpoint, provenance.shipped_with)
    found = None if opened is None else opened.digest()
    if found != provenance.checkpoint_sha256:
        raise InputError(
            f"the bundle's weights are of checkpoint {provenance.checkpoint_sha256}; this is {found}",
            "name the folder it was exported from as the request's checkpoint",
        )
    constant = None if manifest.policy.kind == "ddpnet" else manifest.policy.timesteps[0]
    models = build_models(manifest.preset, opened, provenance.seed, constant)
    kept = Kept(manifest.encoders, manifest.decoders)
    return [*chain_graphs(models, manifest.preset), *autoencoder_graphs(models, manifest.preset, kept)]


def _opened(checkpoint: Path | None, preset: str | None) -> Checkpoint | None:
    """The checkpoint that was named, or else the weights that come with a preset."""
    if checkpoint is not None:
        return Checkpoint.open(checkpoint)
    own = None if preset is None else shipped(preset)
    return None if own is None else open_shipped(own)


def _measure(bundle: Bundle, source: GraphSource, request: TorchRequest) -> Record:
    cuda = request.device == "cuda"
    precision = "fp32" if source.name == "renderer" else request.precision
    identity = identify(
        bundle, source.name, f"baseline:torch-{request.mode}", "torch", precision, request.mode, cuda=cuda
    )
    arrays = seeded_inputs(bundle.manifest, source.name, request.seed)
    inputs = [torch.from_numpy(arrays[spec.name]).to(request.device) for spec in source.inputs]
    begin = time.perf_counter()
    call = _prepare(source, request)
    latest: list[Any] = [None]

    def run() -> None:
        latest[0] = call(*inputs)

    synchronize = torch.cuda.synchronize if cuda else _nothing
    try:
        run()
        synchronize()
        work = Work(
            identity=identity,
            inputs=seeded(bundle, source.name, request.seed),
            run=run,
            synchronize=synchronize,
            outputs=lambda: _outputs(source, latest[0]),
            cuda=cuda,
            setup_s=time.perf_counter() - begin,
            timer=TorchTimer() if cuda else None,
            versions={"torch": torch.__version__},
            notes=("cudnn.benchmark on",) if cuda else (),
        )
        return measure(work, request.settings, request.keep_samples)
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        if isinstance(error, (InputError, BackendError)):
            raise
        raise BackendError(f"torch {request.mode} failed: {str(error).strip().splitlines()[0]}") from error


def _prepare(source: GraphSource, request: TorchRequest) -> Callable[..., Any]:
    module = lowered(source, _DTYPES[request.precision]).to(request.device).eval()
    if request.mode == "eager":
        return module
    torch._dynamo.reset()
    compiled: Callable[..., Any] = torch.compile(module, mode=None if request.mode == "compile" else request.mode)
    return compiled


def _outputs(source: GraphSource, result: Any) -> Arrays:
    values = (result,) if isinstance(result, torch.Tensor) else result
    return {spec.name: np.asarray(value.cpu().numpy()) for spec, value in zip(source.outputs, values, strict=True)}


def _nothing() -> None:
    """The CPU's work is done when the call returns."""


if __name__ == "__main__":
    sys.exit(main(TorchRequest, measure_torch, sys.argv[1:]))
