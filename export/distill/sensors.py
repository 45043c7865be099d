"""How a scene is measured: a stereo camera or a LiDAR with its faults, drawn from a number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STREAM = 0x5E450


@dataclass(frozen=True)
class Sensor:
    """One sensor; everything a cloud's faults depend on.

    Attributes:
        seed: of its noise.
        lidar: rings of a turning LiDAR instead of a grid over images.
        views: stereo: 0 the first image, 1 the second, 2 half the points from each.
        density: stereo: points a pixel of the image along each axis. LiDAR: rings over the image's height.
        columns: LiDAR: points along a ring over the image's width, for each ring a pixel column has.
        disparity_noise: standard deviation, pixels of the preset's size, at a baseline of a tenth of the depth.
        disparity_step: disparities are multiples of it, the same pixels; 0 for none.
        range_noise: LiDAR: standard deviation, share of the range.
        reach: metres beyond which there are no points.
        outliers: share of points with a range of chance.
        dropouts: share of points lost one by one.
        flat_dropouts: chance that a point is lost where its surface shows no texture.
        patches: share of the image without points, in patches.
        misalignment: how far the whole cloud stands beside what the cameras see, pixels to the right and down.
        gain: colours are multiplied by it: the sensor that coloured the points was exposed otherwise.
        colour_noise: standard deviation of the points' colours, 0…255.
    """

    seed: int
    lidar: bool
    views: int
    density: float
    columns: float
    disparity_noise: float
    disparity_step: float
    range_noise: float
    reach: float
    outliers: float
    dropouts: float
    flat_dropouts: float
    patches: float
    misalignment: tuple[float, float]
    gain: float
    colour_noise: float


def draw_sensor(seed: int, variant: int = 0) -> Sensor:
    """The sensor of a scene; ``variant`` gives another one for the same scene.

    From dense and exact (four points a pixel, a tenth of a pixel) to sparse and poor (one pixel in thirty, patches missing):
    how much of the coarse video can be trusted must differ, or there would be nothing for a policy to choose.
    """
    draw = np.random.Generator(np.random.PCG64([_STREAM, seed, variant]))
    lidar = bool(draw.uniform() < 0.3)
    quality = float(draw.uniform())  # 0 poor … 1 good; faults come together
    poor = 1.0 - quality
    # Most clouds have a point or more for every pixel, as a mapped vehicle or a network's prediction gives them.
    sparse = draw.uniform() < 0.35
    density = float(np.exp(draw.uniform(np.log(0.35), np.log(0.95)))) if sparse else float(draw.uniform(0.95, 2.0))
    return Sensor(
        seed=int(draw.integers(0, 2**31)),
        lidar=lidar,
        views=int(draw.choice((0, 0, 1, 2, 2))),
        density=float(draw.choice((0.12, 0.25, 0.5))) * float(draw.uniform(0.8, 1.3)) if lidar else density,
        columns=float(draw.uniform(0.5, 1.5)) if lidar else 1.0,
        disparity_noise=0.5 * poor**2 * float(draw.uniform(0.2, 1.0)),
        disparity_step=float(draw.choice((0.0, 0.06, 0.12, 0.25))),
        range_noise=0.008 * poor,
        reach=float(np.exp(draw.uniform(np.log(25.0), np.log(250.0)))),
        outliers=0.02 * poor**2,
        dropouts=0.4 * poor * float(draw.uniform()),
        flat_dropouts=float(draw.choice((0.0, 0.5, 0.9))),
        patches=float(draw.choice((0.0, 0.0, 0.08, 0.25))) * float(draw.uniform(0.3, 1.0)),
        misalignment=(0.5 * poor * float(draw.normal()), 0.5 * poor * float(draw.normal())),
        gain=float(np.exp(draw.normal(0.0, 0.06))),
        colour_noise=6.0 * poor,
    )
