"""Clouds: where their points are, what colour they have, and how their faults grow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from videoscene_rt.export.distill.chance import normal, uniform
from videoscene_rt.export.distill.cloud import Clouds, measure
from videoscene_rt.export.distill.sensors import Sensor, draw_sensor
from videoscene_rt.export.distill.world.batch import pack
from videoscene_rt.export.distill.world.film import photograph
from videoscene_rt.export.distill.world.layout import describe

HEIGHT, WIDTH = 24, 36
EXACT = Sensor(
    seed=5, lidar=False, views=0, density=1.0, columns=1.0, disparity_noise=0.0, disparity_step=0.0, range_noise=0.0, reach=1e9,
    outliers=0.0, dropouts=0.0, flat_dropouts=0.0, patches=0.0, misalignment=(0.0, 0.0), gain=1.0, colour_noise=0.0,
)  # fmt: skip


def cameras(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """world_to_camera [1,2,4,4] and intrinsics [1,2,3,3] of a scene."""
    viewpoints = describe(seed).viewpoints
    matrices = np.tile(np.eye(3), (2, 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = viewpoints.focal * WIDTH
    matrices[:, 0, 2], matrices[:, 1, 2] = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    return (
        torch.from_numpy(viewpoints.world_to_camera[None].astype(np.float32)),
        torch.from_numpy(matrices[None].astype(np.float32)),
    )


def cloud(sensor: Sensor, seed: int = 3) -> tuple[Clouds, torch.Tensor]:
    """The cloud of a scene, and which points it has."""
    clouds = measure(pack([describe(seed)]), [sensor], *cameras(seed), HEIGHT, WIDTH)
    return clouds, torch.isfinite(clouds.xyz[0]).all(-1)


def projected(points: torch.Tensor, pose: torch.Tensor, camera: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels [n,2] and depths [n]."""
    seen = points @ pose[:3, :3].T + pose[:3, 3]
    return seen[:, :2] / seen[:, 2:] * camera[0, 0] + camera[:2, 2], seen[:, 2]


@pytest.mark.parametrize("views", [0, 1, 2])
def test_exact_points_reproject_onto_the_pixels_they_were_seen_at_in_their_colour(views: int) -> None:
    clouds, given = cloud(replace(EXACT, views=views))
    assert int(given.sum()) == HEIGHT * WIDTH * (2 if views == 2 else 1)
    poses, matrices = cameras(3)
    world = pack([describe(3)])
    for image in (0, 1):
        mine = given & (clouds.second[0] == bool(image))
        if not bool(mine.any()):
            assert image != views
            continue
        pixels, _ = projected(clouds.xyz[0, mine], poses[0, image], matrices[0, image])
        expected = torch.stack([clouds.u[0, mine], clouds.v[0, mine]], dim=-1)
        assert torch.allclose(pixels, expected, atol=2e-3)
        assert torch.allclose(pixels, pixels.round(), atol=2e-3)  # one a pixel, at its centre
        picture = photograph(world, poses[:, image], matrices[:, image], HEIGHT, WIDTH)[0].float()
        column, row = pixels.round().long().unbind(-1)
        difference = (picture[row, column] - clouds.rgb[0, mine].float()).abs().mean(-1)
        assert float(difference.median()) < 12  # one ray against the mean of four around it


def test_density_sets_how_many_points_there_are() -> None:
    counts = [int(cloud(replace(EXACT, density=density))[1].sum()) for density in (0.5, 1.0, 2.0)]
    assert counts == [HEIGHT * WIDTH // 4, HEIGHT * WIDTH, 4 * HEIGHT * WIDTH]
    assert int(cloud(replace(EXACT, density=9.0))[1].sum()) <= 4 * HEIGHT * WIDTH


def test_a_lidar_has_rows_of_points() -> None:
    clouds, given = cloud(replace(EXACT, lidar=True, density=0.25, columns=1.0))
    assert len(clouds.v[0, given].unique()) == 6
    assert int(given.sum()) == 6 * WIDTH


@pytest.mark.parametrize("lidar", [False, True])
def test_depth_errors_grow_with_depth_as_the_sensor_says(lidar: bool) -> None:
    """A stereo camera is off by the same disparity near and far, so by z² in depth; a LiDAR by the same share of the range."""
    seed = 1  # a street: depths from a few metres to a hundred
    dense = replace(EXACT, lidar=lidar, density=2.0, columns=2.0)
    poses, matrices = cameras(seed)
    exact, given = cloud(dense, seed)
    measured, _ = cloud(replace(dense, disparity_noise=0.02, range_noise=0.004), seed)
    depth, other = (projected(c.xyz[0, given], poses[0, 0], matrices[0, 0])[1].double() for c in (exact, measured))
    off = other / depth - 1 if lidar else 1 / other - 1 / depth
    near, far = depth < depth.quantile(0.3), (depth > depth.quantile(0.5)) & (depth < depth.quantile(0.8))
    assert float(depth[far].median() / depth[near].median()) > 2
    assert float(off[far].std() / off[near].std()) == pytest.approx(1.0, abs=0.1)
    expected = 0.004 if lidar else 0.02 / (float(matrices[0, 0, 0, 0]) * 0.1 * float(depth.median()))
    assert float(off[near].std()) == pytest.approx(expected, rel=0.1)
    # The error is along the ray: the point is still seen at the same pixel.
    pixels, _ = projected(measured.xyz[0, given], poses[0, 0], matrices[0, 0])
    assert torch.allclose(pixels[:, 0], measured.u[0, given], atol=2e-2)


def test_disparities_are_whole_steps() -> None:
    poses, matrices = cameras(3)
    clouds, given = cloud(replace(EXACT, disparity_step=0.25))
    _, depth = projected(clouds.xyz[0, given], poses[0, 0], matrices[0, 0])
    exact, _ = cloud(EXACT)
    _, middle = projected(exact.xyz[0, given], poses[0, 0], matrices[0, 0])
    scale = matrices[0, 0, 0, 0] * 0.1 * middle.median()
    steps = scale / depth / 0.25
    assert torch.allclose(steps, steps.round(), atol=5e-2)
    assert float((middle - depth).abs().max()) > 0


def test_faults_take_points_away() -> None:
    full = int(cloud(EXACT)[1].sum())
    assert int(cloud(replace(EXACT, dropouts=0.5))[1].sum()) == pytest.approx(0.5 * full, rel=0.1)
    assert int(cloud(replace(EXACT, patches=0.3))[1].sum()) < 0.97 * full
    assert int(cloud(replace(EXACT, flat_dropouts=0.9))[1].sum()) < full
    poses, matrices = cameras(1)
    clouds, given = cloud(replace(EXACT, reach=20.0), 1)
    assert float(projected(clouds.xyz[0, given], poses[0, 0], matrices[0, 0])[1].max()) <= 20.0


def test_a_misaligned_cloud_stands_beside_what_is_seen() -> None:
    straight, given = cloud(EXACT)
    shifted, _ = cloud(replace(EXACT, misalignment=(0.5, -0.25)))
    assert torch.equal(straight.rgb, shifted.rgb)
    assert torch.allclose(shifted.u[0, given] - straight.u[0, given], torch.tensor(0.5))
    poses, matrices = cameras(3)
    pixels, _ = projected(shifted.xyz[0, given], poses[0, 0], matrices[0, 0])
    assert torch.allclose(pixels[:, 1], straight.v[0, given] - 0.25, atol=2e-3)


def test_sensors_differ_from_scene_to_scene_and_from_variant_to_variant() -> None:
    sensors = [draw_sensor(seed, variant) for seed in range(100) for variant in (0, 1)]
    assert draw_sensor(7, 1) == draw_sensor(7, 1)
    assert len({sensor.seed for sensor in sensors}) == 200
    assert 30 < sum(sensor.lidar for sensor in sensors) < 90
    densities = [sensor.density for sensor in sensors]
    assert min(densities) < 0.2
    assert max(densities) > 1.5


def test_chance_is_the_same_in_any_batch_and_looks_like_chance() -> None:
    seeds = torch.tensor([3, 2**31 - 1, 77])
    every = uniform(seeds, 20000, 4)
    assert torch.equal(every[1], uniform(seeds[1:2], 20000, 4)[0])
    assert float(every.min()) >= 0
    assert float(every.max()) < 1
    assert torch.allclose(every.mean(1), torch.tensor(0.5), atol=0.01)
    assert abs(float(torch.corrcoef(every)[0, 1])) < 0.03
    assert abs(float(torch.corrcoef(torch.stack([every[0], uniform(seeds[:1], 20000, 5)[0]]))[0, 1])) < 0.03
    bell = normal(seeds, 20000, 4)
    assert torch.allclose(bell.std(1), torch.tensor(1.0), atol=0.03)
    assert bool(torch.isfinite(bell).all())
