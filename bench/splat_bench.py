"""Measure the renderer's kernels alone, without a bundle: ``python -m videoscene_rt.bench.splat_bench request.json``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.cuda_stream import CudaTimer, capture
from videoscene_rt.bench.inputs import Arrays, poison, specs_sha256
from videoscene_rt.bench.measure import Work, gpu_once, measure
from videoscene_rt.bench.record import Identity, Inputs, Record, write_record
from videoscene_rt.bench.request import main
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.engines.kernels.plan import SplatTuning
from videoscene_rt.engines.kernels.source import packaged
from videoscene_rt.engines.kernels.splat import SplatContext, SplatEngine
from videoscene_rt.engines.preset import RendererSettings
from videoscene_rt.engines.specs import Signature, TensorSpec
from videoscene_rt.scenes.point_files import read_points
from videoscene_rt.scenes.trajectory import CameraPath, between

Array = npt.NDArray[Any]
_STAGES = {"clear": ("prepare",), "draw": ("points",), "resolve": ("resolve",)}


class SplatRequest(BaseModel):
    """What to measure: every radius with every size of the point buffers and every tuning.

    Attributes:
        out: folder for the records, which is made.
        cloud: a point file (.ply or .npz), or an .npz with means3d, colors, viewmats and Ks; None: ``points`` of a made-up one.
        max_points: of the buffers; a number below the cloud's is left out.
        mode: each run enqueued kernel by kernel, or captured once and replayed.
        stages: measure clearing, drawing and resolving by themselves as well (of the first tuning).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    cloud: Path | None = None
    points: int = Field(default=138_766, ge=1)
    frames: int = Field(default=49, ge=2)
    height: int = Field(default=480, ge=1)
    width: int = Field(default=720, ge=1)
    radii: tuple[int, ...] = (0, 1, 2)
    max_points: tuple[int, ...] = (138_766, 1_000_000)
    tunings: dict[str, SplatTuning] = {"default": SplatTuning()}
    mode: Literal["enqueue", "cuda-graph"] = "cuda-graph"
    stages: bool = False
    seed: int = Field(default=0, ge=0)
    settings: LoopSettings = LoopSettings(seconds=1.0, iterations=662)
    keep_samples: bool = False


def measure_splats(request: SplatRequest) -> dict[str, Any]:
    """Measure what a request asks for.

    Returns:
        ``records``: file by case; ``device_ms``: median of each on the device's clock; ``failures``: the problem by case.

    Raises:
        InputError: the cloud cannot be read, or ``out`` cannot be made.
        BackendError: there is no GPU.
    """
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.out} cannot be made: {error.strerror}") from error
    xyz, rgb, path, source = cloud_of(request)
    device = CudaDevice()
    found: dict[str, Any] = {"records": {}, "device_ms": {}, "failures": {}}
    for points in (points for points in request.max_points if points >= len(xyz)):
        feed = {
            "xyz": np.concatenate([xyz, np.zeros((points - len(xyz), 3), np.float32)]),
            "rgb": np.concatenate([rgb, np.zeros((points - len(rgb), 3), np.uint8)]),
            "num_points": np.array([len(xyz)], np.int32),
            **path._asdict(),
        }
        for radius in request.radii:
            for number, (tuning_name, tuning) in enumerate(request.tunings.items()):
                stages = ["whole", *(_STAGES if request.stages and number == 0 else ())]
                for stage in stages:
                    case = f"r{radius}-p{points}-{tuning_name}-{stage}"
                    try:
                        record = measure_splat(request, device, feed, radius, tuning, stage, (case, source))
                    except VsrtError as error:
                        found["failures"][case] = error.problem
                        continue
                    file = request.out / f"splat.{case}.{request.mode}.json"
                    write_record(file, record)
                    found["records"][case] = str(file)
                    found["device_ms"][case] = round(record.statistics["device"].p50, 4)
    return found


def measure_splat(
    request: SplatRequest,
    device: CudaDevice,
    feed: Arrays,
    radius: int,
    tuning: SplatTuning,
    stage: str,
    names: tuple[str, str],
) -> Record:
    """Measure one case.

    Args:
        request: sizes, mode and settings.
        device: where.
        feed: an array for each input.
        radius: of the points. tuning: of the kernels.
        stage: "whole", or the launches of one stage alone, over what a whole run left.
        names: how the record calls the case, and the cloud.

    Raises:
        BackendError: it cannot be compiled, run or captured.
    """
    begin = time.perf_counter()
    spec = renderer_signature(request.frames, request.height, request.width, len(feed["xyz"]))
    engine = SplatEngine(device, spec, RendererSettings(radius=radius), tuning)
    context = engine.context()
    outputs = {}
    for tensor in (*spec.inputs, *spec.outputs):
        memory = device.allocate(tensor.dtype, tensor.shape)
        memory.write(feed[tensor.name] if tensor.name in feed else poison(tensor))
        context.bind(tensor.name, memory.view())
        if tensor.name not in feed:
            outputs[tensor.name] = memory
    context.enqueue()
    device.synchronize()
    run = context.enqueue if stage == "whole" else _only(context, device, _STAGES[stage])
    if request.mode == "cuda-graph":
        run = capture(device.stream, run)
    facts = gpu_once()
    case, source = names
    digest = text_sha256([str(part) for part in (packaged("splat.cu").decode(), radius, tuning)])
    work = Work(
        identity=Identity(
            bundle_sha256=text_sha256([packaged("splat.cu").decode()]),
            preset=f"{request.frames}x{request.height}x{request.width}-{case}",
            graph="renderer",
            engine=f"kernel:{digest[:16]}",
            backend="kernel",
            precision="fp32",
            mode=request.mode,
            device=facts.name if facts else device.name,
        ),
        inputs=Inputs(specs_sha256=specs_sha256(spec), source=source),
        run=run,
        synchronize=device.synchronize,
        outputs=lambda: {name: memory.read() for name, memory in outputs.items()},
        cuda=True,
        setup_s=time.perf_counter() - begin,
        timer=CudaTimer(device.stream),
        versions={"cuda-driver": device.cuda_version},
        notes=(
            "no bundle: bundle_sha256 is the digest of splat.cu",
            f"{int(feed['num_points'][0])} points; {tuning}; {engine.plan.groups} groups of {engine.plan.group_frames} frames, "
            f"{engine.scratch_bytes} bytes of scratch, {len(context.launches)} launches",
        ),
    )
    return measure(work, request.settings, request.keep_samples)


def renderer_signature(frames: int, height: int, width: int, points: int) -> Signature:
    """What the renderer takes and gives at these sizes."""
    shapes: dict[str, tuple[Literal["float32", "uint8", "int32"], tuple[int, ...]]] = {
        "xyz": ("float32", (points, 3)),
        "rgb": ("uint8", (points, 3)),
        "num_points": ("int32", (1,)),
        "world_to_camera": ("float32", (frames, 4, 4)),
        "intrinsics": ("float32", (frames, 3, 3)),
        "frames": ("uint8", (frames, height, width, 3)),
        "depth": ("float32", (frames, height, width)),
        "hole_mask": ("uint8", (frames, height, width)),
    }
    tensors = [TensorSpec(name=n, dtype=dtype, shape=shape, meaning=n) for n, (dtype, shape) in shapes.items()]
    return Signature(name="renderer", inputs=tuple(tensors[:5]), outputs=tuple(tensors[5:]))


def cloud_of(request: SplatRequest) -> tuple[Array, Array, CameraPath, str]:
    """xyz float32 [N,3], rgb uint8 [N,3], a camera for each frame, and one line that says what it is.

    Raises:
        InputError: the file cannot be read.
    """
    frames, height, width = request.frames, request.height, request.width
    if request.cloud is not None and request.cloud.suffix == ".npz":
        with np.load(request.cloud, allow_pickle=False) as arrays:
            if "viewmats" in arrays:
                cameras = arrays["Ks"][:2].astype(np.float32)
                cameras[:, :2] *= np.float32(max(height / int(arrays["height"]), width / int(arrays["width"])))
                path = between(arrays["viewmats"][:2].astype(np.float32), cameras, frames)
                xyz, rgb = arrays["means3d"].astype(np.float32), arrays["colors"]
                return xyz, rgb, path, f"points and cameras, SHA-256 {file_sha256(request.cloud)}"
    if request.cloud is None:
        rng = np.random.default_rng(request.seed)
        xyz = rng.uniform((-4, -3, 1), (4, 3, 8), (request.points, 3)).astype(np.float32)
        rgb, source = rng.integers(0, 256, xyz.shape, np.uint8), f"seed {request.seed}"
    else:
        (xyz, rgb), source = read_points(request.cloud), f"points, SHA-256 {file_sha256(request.cloud)}"
    poses = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    poses[1, 0, 3] = -0.5
    camera = np.array([[0.8 * width, 0, (width - 1) / 2], [0, 0.8 * width, (height - 1) / 2], [0, 0, 1]], np.float32)
    return xyz, rgb, between(poses, np.stack([camera, camera]), frames), source


def _only(context: SplatContext, device: CudaDevice, kinds: tuple[str, ...]) -> Callable[[], None]:
    launches = [launch for step, launch in context.launches if step.kernel.split("_")[2] in kinds]

    def run() -> None:
        for launch in launches:
            launch(device.stream_handle)

    return run


if __name__ == "__main__":
    sys.exit(main(SplatRequest, measure_splats, sys.argv[1:]))
