"""The point-cloud renderer: a coloured cloud along a trajectory to coarse frames, depth and a hole mask.

The arithmetic is docs/architecture.md's, "The renderer's arithmetic": separate float32 multiplies and adds in one fixed order
and one integer minimum, so that torch, ONNX Runtime and any kernel with the same order agree bit for bit. There is no sum over
floats and no matrix product, because their order of summation is the backend's choice.

A frame is one scatter of the points' keys into a z-buffer, then a minimum over (2r+1)² neighbours, which equals drawing every
point (2r+1)² times. Groups of frames follow one another in the graph, and only one group's intermediates are alive at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset, RendererSettings

FAR = 32768.0
"""Points at this depth (metres) or beyond are dropped: floor(FAR · 65536) no longer fits the key's upper 31 bits."""

_DEPTH_STEPS = 65536.0
_INDEX_BITS = 32
_MAX_GROUPS = 17
"""Up to 17 frames go one by one, more in at most 17 groups: the exporter's time grows with the square of the nodes."""
_EXACT_INTEGERS = 2**24
"""Every integer up to this one is a float32."""


class Renderer(nn.Module):
    """The ``renderer`` graph, for F frames of H×W pixels and at most P points.

    Args:
        frames: F. height, width: H and W in pixels. max_points: P.
        settings: point radius r (pixels), near plane (metres), background colour.

    Raises:
        InputError: a size below 1, P over 2³¹ − 1, or frames so large (over 2²⁴ pixels with their border) that a pixel's
            number is no longer exact in float32.
    """

    background: Tensor

    def __init__(
        self, frames: int, height: int, width: int, max_points: int, settings: RendererSettings | None = None
    ) -> None:
        super().__init__()
        settings = settings or RendererSettings()
        if min(frames, height, width, max_points) < 1 or max_points >= 2**31:
            raise InputError(
                f"the renderer cannot be made for {frames} frames of {height}×{width} and {max_points} points",
                "each must be at least 1, and the points fewer than 2^31",
            )
        self.frames, self.height, self.width, self.max_points = frames, height, width, max_points
        self.radius, self.near = settings.radius, settings.near
        # A border of r, or splats centred just off screen would be lost; below it one more row, which takes the dropped points.
        self.buffer_width = width + 2 * self.radius
        self.buffer_height = height + 2 * self.radius + 1
        if self.buffer_width * self.buffer_height > _EXACT_INTEGERS:
            raise InputError(
                f"frames of {height}×{width} are too large for the renderer", "keep them under 2^24 pixels"
            )
        self.group = -(-frames // _MAX_GROUPS)
        # Greater than every point's key, as q < 2^31 − 1; its index is one past the last point: the background colour's.
        self.empty_key = ((2**31 - 1) << _INDEX_BITS) + max_points
        self.register_buffer("background", torch.tensor([settings.background], dtype=torch.uint8), persistent=False)

    @classmethod
    def from_preset(cls, preset: Preset) -> Renderer:
        """The renderer of a preset's sizes and settings."""
        return cls(preset.frames, preset.height, preset.width, preset.max_points, preset.renderer)

    def forward(
        self, xyz: Tensor, rgb: Tensor, num_points: Tensor, world_to_camera: Tensor, intrinsics: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Render every frame.

        Args:
            xyz: float32 [P,3], metres, world axes. Any row may hold anything, NaN included: a point that does not land in
                the image is dropped. Rows from num_points on are not drawn.
            rgb: uint8 [P,3].
            num_points: int32 [1].
            world_to_camera: float32 [F,4,4], OpenCV axes (x right, y down, z forward); the last row is not read.
            intrinsics: float32 [F,3,3], pixels, pixel centres at integers; fx, fy, cx and cy are read.

        Returns:
            frames uint8 [F,H,W,3]; depth float32 [F,H,W], metres, a multiple of 1/65536, 0 in holes; hole_mask uint8
            [F,H,W], 1 = hole.
        """
        x, y, z = xyz.t().contiguous().split(1)
        index = torch.arange(self.max_points, dtype=torch.int64, device=xyz.device)
        given = index.to(torch.int32) < num_points
        colours = torch.cat([rgb, self.background])
        slots = self.buffer_height * self.buffer_width
        empty = torch.full((self.group, 1, slots), self.empty_key, dtype=torch.int64, device=xyz.device)
        columns = world_to_camera[:, :3].split(1, dim=2)
        focal = torch.cat([intrinsics[:, 0:1, 0:1], intrinsics[:, 1:2, 1:2]], dim=1)
        centre = intrinsics[:, :2, 2:]
        pictures = []
        for camera in zip(*(part.split(self.group) for part in (*columns, focal, centre)), strict=True):
            points = _project(x, y, z, *camera)
            keys = self._nearest_keys(*points, given, index, empty)
            pictures.append(self._resolve(keys, colours))
        frames, depth, hole_mask = (torch.cat(parts) for parts in zip(*pictures, strict=True))
        return frames, depth, hole_mask

    def _nearest_keys(self, px: Tensor, py: Tensor, Z: Tensor, given: Tensor, index: Tensor, empty: Tensor) -> Tensor:
        """The smallest key at each pixel, int64 [G,H,W]. Comparisons with NaN are false, so NaN is dropped like a miss."""
        r = self.radius
        seen = given & (self.near < Z) & (Z < FAR)
        seen = seen & (px >= -r) & (px < self.width + r) & (py >= -r) & (py < self.height + r)
        # Where before Cast: what a backend makes of NaN or a huge value as an integer is its own affair.
        # A pixel's number is formed in float32, where it is exact (see __init__), to cast once.
        first = float(r * self.buffer_width + r)
        dump = float((self.buffer_height - 1) * self.buffer_width)
        slot = torch.where(seen, (py * float(self.buffer_width) + px) + first, dump).to(torch.int64)
        q = torch.where(seen, torch.floor(Z * _DEPTH_STEPS), 0.0).to(torch.int64)
        key = q * 2**_INDEX_BITS + index
        buffer = torch.scatter_reduce(empty[: len(key)], 2, slot, key, reduce="amin", include_self=True)
        rows = buffer.reshape(-1, self.buffer_height, self.buffer_width)
        return _sliding_min(_sliding_min(rows, 1, 2 * r + 1, self.height), 2, 2 * r + 1, self.width)

    def _resolve(self, keys: Tensor, colours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys int64 [G,H,W] to colours uint8 [G,H,W,3], depth float32 [G,H,W] and holes uint8 [G,H,W]."""
        index = keys & (2**_INDEX_BITS - 1)
        hole = index == self.max_points
        # Exact: q is the floor of a float32, so it has 24 significant bits, and both scales are powers of two.
        depth = (keys - index).to(torch.float32) * (1.0 / (_DEPTH_STEPS * 2**_INDEX_BITS))
        return embedding(index, colours), torch.where(hole, 0.0, depth), hole.to(torch.uint8)


def _project(
    x: Tensor, y: Tensor, z: Tensor, R_0: Tensor, R_1: Tensor, R_2: Tensor, t: Tensor, focal: Tensor, centre: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Points through the cameras of one group.

    Args:
        x, y, z: [1,P].
        R_0, R_1, R_2, t: columns of world_to_camera, [G,3,1].
        focal, centre: (fx, fy) and (cx, cy), [G,2,1].

    Returns:
        px, py (whole numbers) and Z, float32 [G,1,P] each.
    """
    X = ((R_0 * x + R_1 * y) + R_2 * z) + t
    XY, Z = X.split([2, 1], dim=1)
    px, py = torch.floor((focal * (XY / Z) + centre) + 0.5).split(1, dim=1)
    return px, py, Z


def _sliding_min(values: Tensor, dim: int, window: int, length: int) -> Tensor:
    """out[i] = min(values[i : i + window]) along ``dim`` for i < length, in about log2(window) steps."""
    reach = 1
    while reach < window:
        step = min(reach, window - reach)
        size = length + window - reach - step
        values = torch.minimum(values.narrow(dim, 0, size), values.narrow(dim, step, size))
        reach += step
    return values if values.shape[dim] == length else values.narrow(dim, 0, length)
