"""How the renderer's kernels are launched: groups of frames whose keys fit the L2 cache, scratch memory, and the launches in order.

The numbers and formulas are splat.cu's; tests hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from videoscene_rt.engines.errors import BackendError

MAX_RADIUS = 8
MAX_POINTS = 2**24
"""The index's part of a key."""
MAX_GROUPS = 511
"""One epoch each; the last one means empty."""
_SIDE = 4
_KEY_BYTES = 8
_COLOUR_BYTES = 4
_EXACT_INTEGERS = 2**24
_PREPARE_BLOCKS = 1024


@dataclass(frozen=True)
class SplatSizes:
    """F frames of H×W pixels, P points at most, radius r in pixels.

    Raises:
        BackendError: the kernels do not take them.
    """

    frames: int
    height: int
    width: int
    max_points: int
    radius: int

    def __post_init__(self) -> None:
        if min(self.frames, self.height, self.width, self.max_points) < 1 or not 0 <= self.radius <= MAX_RADIUS:
            raise BackendError(f"the renderer's kernels cannot draw {self}", f"the radius is 0 to {MAX_RADIUS}")
        if self.max_points > MAX_POINTS:
            raise BackendError(f"the renderer's kernels take {MAX_POINTS} points, not {self.max_points}")
        if (self.height + 2 * self.radius + 1) * (self.width + 2 * self.radius) > _EXACT_INTEGERS:
            raise BackendError(f"frames of {self.height}×{self.width} are too large for the renderer")

    @property
    def frame_keys(self) -> int:
        """Keys of one frame: whole patches of 4×4 pixels, and a border."""
        pitch = _whole(self.width) + 2 * _whole(self.radius)
        return pitch * (_whole(self.height) + 2 * self.radius)


@dataclass(frozen=True)
class SplatTuning:
    """What may be chosen without changing a bit of the result.

    Attributes:
        threads: of a block. cameras: that a thread projects a point into. preread: look before an atomic minimum.
        point_blocks: blocks that share the points among them.
        l2_share: part of the L2 cache that the keys may take.
        group_frames: frames of a group, whatever the cache.
    """

    threads: int = 256
    cameras: int = 4
    preread: bool = False
    point_blocks: int = 1024
    l2_share: float = 0.4
    group_frames: int | None = None

    def defines(self, radius: int) -> dict[str, int]:
        """Macros for splat.cu, with one radius compiled."""
        return {
            "VSRT_THREADS": self.threads,
            "VSRT_CAMERAS": self.cameras,
            "VSRT_PREREAD": int(self.preread),
            "VSRT_RADIUS": radius,
        }


@dataclass(frozen=True)
class Step:
    """One launch: a kernel, its blocks, and the group that it draws or resolves."""

    kernel: str
    blocks: int
    group: int = 0


@dataclass(frozen=True)
class SplatPlan:
    """How sizes are rendered on a device with that much L2 cache (bytes)."""

    sizes: SplatSizes
    tuning: SplatTuning
    l2_bytes: int

    @property
    def group_frames(self) -> int:
        """Frames of a group: as many as fit, the groups as even as they can be."""
        frames = self.sizes.frames
        fit = int(self.l2_bytes * self.tuning.l2_share) // (self.sizes.frame_keys * _KEY_BYTES)
        most = self.tuning.group_frames or min(max(fit, 1), frames)
        groups = min(-(-frames // most), MAX_GROUPS)
        return -(-frames // groups)

    @property
    def groups(self) -> int:
        """How many there are."""
        return -(-self.sizes.frames // self.group_frames)

    @property
    def point_blocks(self) -> int:
        """Blocks that share the points among them."""
        return min(-(-self.sizes.max_points // self.tuning.threads), self.tuning.point_blocks)

    @property
    def key_bytes(self) -> int:
        """Scratch for the keys; the colours lie behind it, at a multiple of 256."""
        return -(-self.group_frames * self.sizes.frame_keys * _KEY_BYTES // 256) * 256

    @property
    def scratch_bytes(self) -> int:
        """Scratch for everything."""
        return self.key_bytes + self.sizes.max_points * _COLOUR_BYTES

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels it launches."""
        return tuple(dict.fromkeys(step.kernel for step in self.steps))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The launches in order."""
        steps = [Step("vsrt_splat_prepare", _PREPARE_BLOCKS)]
        for group in range(self.groups):
            steps.append(Step("vsrt_splat_points", self._drawing(group), group))
            steps.append(Step(f"vsrt_splat_resolve_{self.sizes.radius}", self._resolving(group), group))
        return tuple(steps)

    def _frames_of(self, group: int) -> int:
        return min(self.group_frames, self.sizes.frames - group * self.group_frames)

    def _drawing(self, group: int) -> int:
        return self.point_blocks * -(-self._frames_of(group) // self.tuning.cameras)

    def _resolving(self, group: int) -> int:
        strip, band = 32 * _SIDE, self.tuning.threads // 32 * _SIDE
        return -(-self.sizes.width // strip) * -(-self.sizes.height // band) * self._frames_of(group)


def _whole(length: int) -> int:
    return -(-length // _SIDE) * _SIDE
