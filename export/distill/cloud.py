"""Coloured point clouds as a stereo camera or a LiDAR gives them, from the surfaces that the two cameras see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.export.distill.chance import normal, uniform
from videoscene_rt.export.distill.sensors import Sensor
from videoscene_rt.export.distill.world.batch import World
from videoscene_rt.export.distill.world.cast import cast
from videoscene_rt.export.distill.world.film import rays, to_bytes
from videoscene_rt.export.distill.world.noise import smooth

POINTS_A_PIXEL = 4
"""Size of every cloud, per pixel of a frame."""
_NOISE, _OUTLIER, _WRONG, _LOST, _FLAT, _COLOUR = 1, 7, 8, 9, 10, 6
"""Channels of chance; the normal ones take two (2, 3 and 12, 13)."""
_SHARPNESS = 0.35
"""Width of what colours a point, pixels: it comes from a larger image than the preset's, so a frame of points is aliased."""
_BASELINE = 0.1
"""Of the stereo camera, as a share of the middle depth: its disparities follow from it."""


@dataclass(frozen=True)
class Clouds:
    """B clouds of P points: xyz float32[B,P,3] world metres, rgb uint8[B,P,3]. A point that was lost is NaN.

    ``u``, ``v`` float32[B,P] are where each point stands in the image, and ``second`` bool[B,P] whether in the second image.
    """

    xyz: Tensor
    rgb: Tensor
    u: Tensor
    v: Tensor
    second: Tensor


def measure(
    world: World,
    sensors: Sequence[Sensor],
    world_to_camera: Tensor,
    intrinsics: Tensor,
    height: int,
    width: int,
) -> Clouds:
    """Measure every scene of a batch.

    Args:
        sensors: one for each scene.
        world_to_camera, intrinsics: the two cameras, float32[B,2,4,4] and [B,2,3,3], for images of height × width.
    """
    points = POINTS_A_PIXEL * height * width
    device = world.device
    seeds = torch.tensor([sensor.seed for sensor in sensors], dtype=torch.int64, device=device)
    aims = [_aims(sensor, height, width) for sensor in sensors]
    u, v, second, given = (torch.stack(parts).to(device) for parts in zip(*aims, strict=True))

    def both(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        first, other = (rays(world_to_camera[:, n], intrinsics[:, n], u, v) for n in (0, 1))
        return torch.where(second[..., None], other[0], first[0]), torch.where(second[..., None], other[1], first[1])

    depth, colours = cast(world, *both(u, v), _SHARPNESS / intrinsics[:, 0, 0, 0])
    shift = torch.tensor([sensor.misalignment for sensor in sensors], dtype=torch.float32, device=device)
    u, v = u + shift[:, :1], v + shift[:, 1:]
    origins, directions = both(u, v)

    measured = _measured_depth(sensors, seeds, depth, given, intrinsics[:, 0, 0, 0])
    far = depth > _column(sensors, "reach", device)
    lost = ~given | far | _lost(sensors, seeds, colours, u, v, width)
    xyz = torch.where(lost[..., None], torch.nan, origins + measured[..., None] * directions)
    noise = torch.stack([normal(seeds + k, points, _COLOUR) for k in range(3)], dim=-1)
    gain, sigma = _column(sensors, "gain", device), _column(sensors, "colour_noise", device)
    seen = to_bytes(colours).to(torch.float32) * gain[..., None] + noise * sigma[..., None]
    return Clouds(xyz, seen.clamp(0.0, 255.0).round().to(torch.uint8), u, v, second)


def _aims(sensor: Sensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where a sensor's points lie in the images: u, v, whether in the second one, and whether there is such a point; [P] each."""
    total = POINTS_A_PIXEL * height * width
    both = sensor.views == 2 and not sensor.lidar
    share = total // 2 if both else total
    rows = max(4, round(sensor.density * height))
    columns = max(6, round(sensor.density * width) if not sensor.lidar else round(sensor.columns * width))
    if rows * columns > share:
        shrink = (share / (rows * columns)) ** 0.5
        rows, columns = int(rows * shrink), int(columns * shrink)
    index = np.arange(share)
    row, column = index // columns, index % columns
    given = row < rows
    # Pixel i covers i − ½ … i + ½. A ring is a row of the image here: the sensor stands at the camera and turns with it.
    v = (row + 0.5) * height / rows - 0.5
    u = (column + 0.5) * width / columns - 0.5
    first = np.zeros(share, np.bool_)
    parts = [u, v, first | (sensor.views == 1), given]
    if both:
        parts = [np.concatenate([part, other]) for part, other in zip(parts, (u, v, ~first, given), strict=True)]
    filled = [np.pad(part, (0, total - len(part))) for part in parts]
    return (
        torch.from_numpy(filled[0].astype(np.float32)),
        torch.from_numpy(filled[1].astype(np.float32)),
        torch.from_numpy(filled[2]),
        torch.from_numpy(filled[3]),
    )


def _measured_depth(sensors: Sequence[Sensor], seeds: Tensor, depth: Tensor, given: Tensor, focal: Tensor) -> Tensor:
    """Depth with the sensor's noise: that of a disparity grows with z², that of a range with z."""
    count, device = depth.shape[1], depth.device
    chance = normal(seeds, count, _NOISE)
    middle = torch.where(given, depth, torch.nan).nanmedian(dim=1, keepdim=True).values
    scale = focal[:, None] * _BASELINE * middle
    disparity = scale / depth + chance * _column(sensors, "disparity_noise", device)
    step = _column(sensors, "disparity_step", device)
    disparity = torch.where(step > 0, (disparity / step.clamp_min(1e-6)).round() * step, disparity)
    stereo = scale / disparity.clamp_min(1e-3)
    ranged = depth * (1.0 + chance * _column(sensors, "range_noise", device))
    lidar = torch.tensor([[sensor.lidar] for sensor in sensors], device=device)
    measured = torch.where(lidar, ranged, stereo)
    wrong = uniform(seeds, count, _OUTLIER) < _column(sensors, "outliers", device)
    return torch.where(wrong, depth * (0.5 + uniform(seeds, count, _WRONG)), measured)


def _lost(sensors: Sequence[Sensor], seeds: Tensor, colours: Tensor, u: Tensor, v: Tensor, width: int) -> Tensor:
    """Which points the sensor does not give: by chance, where there is no texture, in patches."""
    count, device = colours.shape[1], colours.device
    dropped = uniform(seeds, count, _LOST) < _column(sensors, "dropouts", device)
    grey = colours.mean(-1)
    contrast = (grey - grey.roll(1, dims=1)).abs() + (grey - grey.roll(-1, dims=1)).abs()
    flat = (contrast < 0.004) & (uniform(seeds, count, _FLAT) < _column(sensors, "flat_dropouts", device))
    lidar = torch.tensor([[sensor.lidar] for sensor in sensors], device=device)
    # Patches where a smooth noise is lowest; its values are close enough to even over −1…1 for a share to be meant roughly.
    where = torch.stack(
        [u * (6.0 / width), v * (6.0 / width), (seeds % 4096).to(u.dtype)[:, None].expand_as(u)], dim=-1
    )
    level = 0.5 + 0.5 * smooth(where)
    patch = level < _column(sensors, "patches", device) ** 0.5 * 0.7
    return dropped | (flat & ~lidar) | patch


def _column(sensors: Sequence[Sensor], name: str, device: torch.device) -> Tensor:
    return torch.tensor([[getattr(sensor, name)] for sensor in sensors], dtype=torch.float32, device=device)
