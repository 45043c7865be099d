"""The renderer as an engine: splat.cu compiled for the device, behind the interface that every graph has."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.kernels.bindings import ALIGNMENT, Bindings
from videoscene_rt.engines.kernels.compile import load_kernels
from videoscene_rt.engines.kernels.launch import Launch
from videoscene_rt.engines.kernels.plan import SplatPlan, SplatSizes, SplatTuning, Step
from videoscene_rt.engines.preset import RendererSettings
from videoscene_rt.engines.specs import Signature

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.device import CudaDevice

_FILE = "splat.cu"
_BOUND = (
    "xyz", "rgb", "num_points", "world_to_camera", "intrinsics", "frames", "depth", "hole_mask",
)  # fmt: skip


class SplatArguments(ctypes.Structure):
    """splat.cu's struct of that name."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (*_BOUND, "keys", "colours")),
        *((name, ctypes.c_int32) for name in ("frame_count", "height", "width", "max_points")),
        *((name, ctypes.c_int32) for name in ("radius", "group_frames", "point_blocks")),
        ("near_plane", ctypes.c_float),
        ("background", ctypes.c_uint32),
    )


class SplatEngine:
    """The renderer's kernels for one preset.

    Args:
        device: where they run.
        spec: the manifest's renderer: its tensors give the sizes.
        settings: radius, near plane and background.
        tuning: what changes its speed and nothing else.

    Raises:
        BackendError: the specification is no renderer's, the sizes are too large, or the source cannot be compiled here.
    """

    def __init__(
        self,
        device: CudaDevice,
        spec: Signature,
        settings: RendererSettings,
        tuning: SplatTuning | None = None,
    ) -> None:
        sizes = renderer_sizes(spec, settings.radius)
        tuning = tuning or SplatTuning()
        attribute = device.driver.CUdevice_attribute.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE
        self.spec = spec
        self.settings = settings
        self.plan = SplatPlan(sizes, tuning, int(device.call("cuDeviceGetAttribute", attribute, device.index)))
        self._device = device
        self._functions = load_kernels(device, _FILE, self.plan.kernels, tuning.defines(sizes.radius))

    @property
    def scratch_bytes(self) -> int:
        """See `Engine.scratch_bytes`: a group's keys, and the colours in words."""
        return self.plan.scratch_bytes

    def context(self, scratch: int | None = None) -> SplatContext:
        """See `Engine.context`."""
        return SplatContext(self._device, self._functions, self.spec, self.settings, self.plan, scratch)


class SplatContext:
    """One use of the kernels over fixed memory. Addresses are multiples of 16 bytes.

    Attributes:
        launches: in their order, each beside what the plan says of it.
    """

    def __init__(
        self,
        device: CudaDevice,
        functions: dict[str, int],
        spec: Signature,
        settings: RendererSettings,
        plan: SplatPlan,
        scratch: int | None,
    ) -> None:
        self._device = device
        self._bound = Bindings(spec, "cuda")
        if scratch is None:
            self._scratch = device.allocate("uint8", (plan.scratch_bytes,))
            device.synchronize()  # it is cleared on the device's own stream, and the kernels may run on another
            scratch = self._scratch.pointer
        elif scratch % ALIGNMENT:
            raise BackendError(f"graph {spec.name}: its scratch must lie at a multiple of {ALIGNMENT} bytes")
        self._arguments = _arguments(plan, settings, scratch)
        self.launches = tuple((step, self._launch(step, functions[step.kernel], plan)) for step in plan.steps)

    def bind(self, name: str, view: TensorView) -> None:
        """See `Context.bind`."""
        self._bound.bind(name, view)
        setattr(self._arguments, name, view.pointer)

    def enqueue(self, stream: int | None = None) -> None:
        """See `Context.enqueue`; without a stream, on the device's own."""
        self._bound.check_complete()
        self._device.use()
        handle = self._device.stream_handle if stream is None else stream
        for _, launch in self.launches:
            launch(handle)

    def _launch(self, step: Step, function: int, plan: SplatPlan) -> Launch:
        arguments = (self._arguments, ctypes.c_int32(step.group))
        return Launch(self._device, function, step.blocks, plan.tuning.threads, arguments)


def renderer_sizes(spec: Signature, radius: int) -> SplatSizes:
    """The sizes that a renderer's specification has.

    Raises:
        BackendError: it has not exactly the renderer's tensors, or a size is too large.
    """
    shapes = {tensor.name: tensor.shape for tensor in (*spec.inputs, *spec.outputs)}
    frames, height, width = (*shapes.get("depth", ()), 0, 0, 0)[:3]
    points = (*shapes.get("xyz", ()), 0)[0]
    wanted = [
        ("xyz", "float32", (points, 3)),
        ("rgb", "uint8", (points, 3)),
        ("num_points", "int32", (1,)),
        ("world_to_camera", "float32", (frames, 4, 4)),
        ("intrinsics", "float32", (frames, 3, 3)),
        ("frames", "uint8", (frames, height, width, 3)),
        ("depth", "float32", (frames, height, width)),
        ("hole_mask", "uint8", (frames, height, width)),
    ]
    found = [(tensor.name, tensor.dtype, tensor.shape) for tensor in (*spec.inputs, *spec.outputs)]
    if sorted(found) != sorted(wanted):
        odd = next((have for have in sorted(found) if have not in wanted), "a tensor is missing")
        raise BackendError(f"graph {spec.name} is not the renderer that the kernels compute: {odd}")
    return SplatSizes(frames, height, width, points, radius)


def _arguments(plan: SplatPlan, settings: RendererSettings, scratch: int) -> SplatArguments:
    red, green, blue = settings.background
    sizes = plan.sizes
    return SplatArguments(
        keys=scratch,
        colours=scratch + plan.key_bytes,
        frame_count=sizes.frames,
        height=sizes.height,
        width=sizes.width,
        max_points=sizes.max_points,
        radius=sizes.radius,
        group_frames=plan.group_frames,
        point_blocks=plan.point_blocks,
        near_plane=settings.near,
        background=red | green << 8 | blue << 16,
    )
