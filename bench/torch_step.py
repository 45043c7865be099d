"""The whole step in PyTorch: ``python -m videoscene_rt.bench.torch_step request.json``, in an interpreter that has torch.

The same weights, scene, noise and renderer kernel as the chain's; the record is one of graph "chain" and can be compared with it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from videoscene_rt.bench.chain_scene import Arrays, described, sources, whole_buffers
from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.measure import Work, identify, measure, record_name
from videoscene_rt.bench.native_renderer import NativeRenderer
from videoscene_rt.bench.record import write_record
from videoscene_rt.bench.request import main
from videoscene_rt.bench.torch_baseline import TorchRequest, TorchTimer, graph_sources
from videoscene_rt.bench.torch_whole_step import Render, WholeStep, refine_of
from videoscene_rt.chain.noise import draw_noise
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, InputError, VsrtError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.export.renderer import Renderer


class StepRequest(TorchRequest):
    """As for `TorchRequest`.

    Attributes:
        precision: of the chain that it is held against; torch runs in FP16 where that runs in FP16 or INT8.
        scenes: scene folders; the first is timed. Without one, a built-in room.
        kernels: the shared library of the native kernels; without it the traced renderer's torch module renders, and the record says so.
    """

    precision: str = "fp16"
    settings: LoopSettings = LoopSettings(iterations=1000, seconds=0.0)
    scenes: tuple[Path, ...] = ()
    kernels: Path | None = None


def measure_step(request: StepRequest) -> dict[str, Any]:
    """Measure one way of running the step.

    Returns:
        ``records``: the file, under "chain"; ``failures``: the problem, where torch failed.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: there is no CUDA device.
    """
    check_step(request)
    request.out.mkdir(parents=True, exist_ok=True)
    try:
        with torch.no_grad():
            work = step_work(request)
            record = measure(work, request.settings, request.keep_samples)
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        if isinstance(error, VsrtError):
            raise
        return {
            "records": {},
            "failures": {CHAIN: f"torch {request.mode} failed: {str(error).strip().splitlines()[0]}"},
        }
    path = request.out / record_name(record.identity)
    write_record(path, record)
    return {"records": {CHAIN: str(path)}, "failures": {}}


def check_step(request: StepRequest) -> None:
    """Look at a request, and set torch up for it.

    Raises:
        InputError: the request is wrong.
        BackendError: there is no CUDA device.
    """
    if request.precision not in ("fp32", "fp16", "int8"):
        raise InputError(f"a chain has no precision {request.precision!r}; it has fp32, fp16 and int8")
    if request.kernels is not None and request.device == "cpu":
        raise InputError("the kernels run on a GPU", 'leave "kernels" out of a request for the CPU')
    if request.device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device", 'measure on "cpu", or on a machine with a GPU')
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    torch.backends.cudnn.benchmark = True


def step_work(request: StepRequest) -> Work:
    """Build, lower, compile and run the step once; what is left is to measure it."""
    begin = time.perf_counter()
    bundle = Bundle.open(request.bundle)
    preset = bundle.manifest.preset
    cuda = request.device == "cuda"
    refine, precisions = refine_of(
        {source.name: source for source in graph_sources(bundle, request.checkpoint)}, preset, request.precision
    )
    call: Any = refine.to(request.device).eval()
    if request.mode != "eager":
        torch._dynamo.reset()
        call = torch.compile(call, mode=None if request.mode == "compile" else request.mode)
    source = sources(preset, request.scenes)[0]
    inputs: Arrays = {
        **whole_buffers(source.load(), preset),
        **draw_noise(preset, request.seed),
        "prompt": np.array(bundle.prompt()),
    }
    render, notes = _renderer(request, bundle)
    step = WholeStep(render, call, inputs, request.device)
    step()
    synchronize = torch.cuda.synchronize if cuda else _nothing
    synchronize()
    in_half = ", ".join(sorted(name for name, given in precisions.items() if given == "fp16")) or "nothing"
    return Work(
        identity=identify(
            bundle, CHAIN, f"baseline:torch-{request.mode}", "torch", _own(request.precision), request.mode, cuda=cuda
        ),
        inputs=described(bundle.manifest, source, request.seed),
        run=step,
        synchronize=synchronize,
        outputs=lambda: {name: value.cpu().numpy() for name, value in step.latest.items()},
        cuda=cuda,
        setup_s=time.perf_counter() - begin,
        timer=TorchTimer() if cuda else None,
        versions={"torch": torch.__version__},
        notes=(f"in half precision: {in_half}", *notes, *(("cudnn.benchmark on",) if cuda else ())),
    )


def _renderer(request: StepRequest, bundle: Bundle) -> tuple[Render, tuple[str, ...]]:
    preset = bundle.manifest.preset
    if request.kernels is None:
        module: Any = Renderer.from_preset(preset).to(request.device).eval()
        return module, ("the renderer is the traced module in eager mode, not the kernel",)
    return NativeRenderer(request.kernels, preset, request.device), ("the renderer is the native kernel",)


def _own(precision: str) -> str:
    return "fp16" if precision == "int8" else precision


def _nothing() -> None:
    """The CPU's work is done when the call returns."""


if __name__ == "__main__":
    sys.exit(main(StepRequest, measure_step, sys.argv[1:]))
