"""Measure the attention kernel alone, without a bundle: ``python -m videoscene_rt.bench.attention_bench request.json``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.cuda_stream import CudaTimer, capture
from videoscene_rt.bench.inputs import poison, specs_sha256
from videoscene_rt.bench.measure import Work, gpu_once, measure
from videoscene_rt.bench.record import Identity, Inputs, Record, write_record
from videoscene_rt.bench.request import main
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.engines.kernels.attention import AttentionEngine
from videoscene_rt.engines.kernels.attention_plan import (
    AttentionSizes,
    AttentionTuning,
    HopperTuning,
    Layout,
    Tuning,
    tuning_for,
)
from videoscene_rt.engines.kernels.source import packaged


class AttentionRequest(BaseModel):
    """What to measure: every size in every layout with every tuning.

    Attributes:
        out: folder for the records, which is made.
        sizes: heads and tokens; by default the published student's and a small one's.
        tunings, hopper: of attention.cu and attention_hopper.cu, by a name; where there is none, what the device gets by default.
        mode: each run enqueued, or captured once and replayed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    sizes: tuple[tuple[int, int], ...] = ((48, 17_776), (12, 1_296))
    layouts: tuple[Layout, ...] = ("together",)
    tunings: dict[str, AttentionTuning] = {}
    hopper: dict[str, HopperTuning] = {}
    mode: Literal["enqueue", "cuda-graph"] = "cuda-graph"
    seed: int = Field(default=0, ge=0)
    settings: LoopSettings = LoopSettings(seconds=0.5, iterations=64)
    keep_samples: bool = False


def measure_attention(request: AttentionRequest) -> dict[str, Any]:
    """Measure what a request asks for.

    Returns:
        ``records``: file by case; ``device_ms`` and ``tflops``: of each, at the median; ``failures``: the problem by case.

    Raises:
        InputError: ``out`` cannot be made.
        BackendError: there is no GPU.
    """
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.out} cannot be made: {error.strerror}") from error
    device = CudaDevice()
    tunings: dict[str, Tuning] = {**request.tunings, **request.hopper}
    found: dict[str, Any] = {"records": {}, "device_ms": {}, "tflops": {}, "failures": {}}
    for heads, tokens in request.sizes:
        for layout in request.layouts:
            for name, tuning in (tunings or {"default": tuning_for(device.compute_capability)}).items():
                case = f"h{heads}-t{tokens}-{layout}-{name}"
                try:
                    sizes = AttentionSizes(1, heads, tokens, tokens, layout)
                    record = measure_case(request, device, sizes, tuning, case)
                except VsrtError as error:
                    found["failures"][case] = error.problem
                    continue
                file = request.out / f"attention.{case}.{request.mode}.json"
                write_record(file, record)
                milliseconds = record.statistics["device"].p50
                found["records"][case] = str(file)
                found["device_ms"][case] = round(milliseconds, 4)
                found["tflops"][case] = round(sizes.operations / milliseconds / 1e9, 1)
    return found


def measure_case(
    request: AttentionRequest, device: CudaDevice, sizes: AttentionSizes, tuning: Tuning, case: str
) -> Record:
    """Measure one case; ``case`` is how the record calls it.

    Raises:
        BackendError: it cannot be compiled, run or captured.
    """
    begin = time.perf_counter()
    engine = AttentionEngine(device, sizes, tuning)
    spec, context = engine.spec, engine.context()
    rng = np.random.default_rng(request.seed)
    memories = {}
    for tensor in (*spec.inputs, *spec.outputs):
        memories[tensor.name] = memory = device.allocate(tensor.dtype, tensor.shape)
        fresh = tensor.name == "out"
        values = poison(tensor) if fresh else rng.standard_normal(tensor.shape, np.float32).astype(np.float16)
        memory.write(values)
        context.bind(tensor.name, memory.view())
    context.enqueue()
    device.synchronize()
    run = capture(device.stream, context.enqueue) if request.mode == "cuda-graph" else context.enqueue
    source = packaged(tuning.source).decode()
    facts = gpu_once()
    work = Work(
        identity=Identity(
            bundle_sha256=text_sha256([source]),
            preset=case,
            graph="attention",
            engine=f"kernel:{text_sha256([source, str(tuning)])[:16]}",
            backend="kernel",
            precision="fp16",
            mode=request.mode,
            device=facts.name if facts else device.name,
        ),
        inputs=Inputs(specs_sha256=specs_sha256(spec), source=f"standard normal, seed {request.seed}"),
        run=run,
        synchronize=device.synchronize,
        outputs=lambda: {"out": memories["out"].read()},
        cuda=True,
        setup_s=time.perf_counter() - begin,
        timer=CudaTimer(device.stream),
        versions={"cuda-driver": device.cuda_version},
        notes=(
            f"no bundle: bundle_sha256 is the digest of {tuning.source}",
            f"{sizes.operations} operations of the two products; {tuning}; {engine.scratch_bytes} bytes of scratch",
        ),
    )
    return measure(work, request.settings, request.keep_samples)


if __name__ == "__main__":
    sys.exit(main(AttentionRequest, measure_attention, sys.argv[1:]))
