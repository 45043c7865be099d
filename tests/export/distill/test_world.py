"""Scenes: what a number stands for, and what they look like."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoscene_rt.export.distill.world.batch import pack
from videoscene_rt.export.distill.world.description import Shapes
from videoscene_rt.export.distill.world.film import photograph, rays
from videoscene_rt.export.distill.world.layout import LAYOUTS, describe
from videoscene_rt.export.distill.world.material import COLUMNS, PATTERNS
from videoscene_rt.export.distill.world.noise import hashed, smooth
from videoscene_rt.export.distill.world.patterns import Place, pattern_mix
from videoscene_rt.export.distill.world.photographs import NAMES, photographs

SIZE = (24, 36)


def intrinsics(focal: float, height: int, width: int) -> torch.Tensor:
    return torch.tensor([[focal * width, 0, (width - 1) / 2], [0, focal * width, (height - 1) / 2], [0, 0, 1]])


def view(seed: int, height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    scene = describe(seed)
    pose = torch.from_numpy(scene.viewpoints.world_to_camera[:1].astype(np.float32))
    camera = intrinsics(float(scene.viewpoints.focal[0]), height, width)[None]
    return photograph(pack([scene]), pose, camera, height, width)[0].numpy()


def test_a_number_stands_for_one_scene() -> None:
    first, again, other = describe(4), describe(4), describe(7)
    assert all(np.array_equal(a, b) for a, b in zip(first.shapes.materials, again.shapes.materials, strict=True))
    assert np.array_equal(first.viewpoints.world_to_camera, again.viewpoints.world_to_camera)
    assert not np.array_equal(first.viewpoints.world_to_camera, other.viewpoints.world_to_camera)
    assert np.array_equal(view(4), view(4))


@pytest.mark.parametrize("seed", range(9))
def test_a_scene_can_be_seen(seed: int) -> None:
    """Cameras are rigid and a step apart; nothing stands in their way; the picture is neither dark, blown out nor flat."""
    scene = describe(seed)
    assert scene.shapes.kinds.count("shell") == 1
    assert len(scene.shapes.kinds) <= 64
    poses = scene.viewpoints.world_to_camera
    for pose in poses:
        assert np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) > 0.999
    start, end = scene.viewpoints.centres
    assert 0.02 < np.linalg.norm(end - start) < 2.0
    path = start + np.linspace(0, 1, 9)[:, None] * (end - start)
    for kind, centre, half, turn in zip(
        scene.shapes.kinds, scene.shapes.centres, scene.shapes.halves, scene.shapes.turns, strict=True
    ):
        outside = np.abs((path - centre) @ turn.T) - half
        assert kind == "shell" or (outside.max(1) > 0.05).all()
    levels = view(seed).astype(float)
    assert 15 < levels.mean() < 240
    assert levels.std() > 8


def test_neighbouring_numbers_are_different_kinds_of_scene() -> None:
    assert len(LAYOUTS) == 3
    assert len({len(describe(seed).shapes.kinds) for seed in range(12)}) > 3


def test_what_is_near_the_way_is_left_out() -> None:
    shapes = Shapes()
    shapes.add("shell", (0, 0, 0), (5, 5, 5), np.zeros(COLUMNS))
    shapes.add("box", (0, 0, 0.5), (0.2, 0.2, 0.2), np.zeros(COLUMNS))
    shapes.add("box", (0, 0, 2.0), (0.2, 0.2, 0.2), np.zeros(COLUMNS))
    kept = shapes.without_near(np.array([[-0.2, 0, 0], [0.2, 0, 0]]), 0.4)
    assert kept.kinds == ["shell", "box"]
    assert kept.centres[1][2] == 2.0


def test_rays_go_through_the_pixels_they_are_for() -> None:
    scene = describe(2)
    pose = torch.from_numpy(scene.viewpoints.world_to_camera[1:].astype(np.float32))
    camera = intrinsics(1.1, 48, 64)[None]
    u, v = torch.rand(1, 50) * 64, torch.rand(1, 50) * 48
    origins, directions = rays(pose, camera, u, v)
    world = origins + 3.5 * directions
    seen = (world @ pose[0, :3, :3].T + pose[0, :3, 3])[0]
    assert torch.allclose(seen[:, 2], torch.full((50,), 3.5), atol=1e-4)
    assert torch.allclose(seen[:, 0] / seen[:, 2] * camera[0, 0, 0] + camera[0, 0, 2], u[0], atol=1e-2)
    assert torch.allclose(seen[:, 1] / seen[:, 2] * camera[0, 1, 1] + camera[0, 1, 2], v[0], atol=1e-2)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_mixes_between_both_colours_and_fades_with_distance(name: str) -> None:
    u, v = (torch.rand(4000, generator=torch.Generator().manual_seed(n)) * 20 for n in (0, 1))
    solid = torch.stack([u, v, u * 0.3], dim=-1)
    kinds = torch.full_like(u, PATTERNS.index(name))
    near = pattern_mix(kinds, Place(u, v, solid, torch.full_like(u, 1e-4)))
    far = pattern_mix(kinds, Place(u, v, solid, torch.full_like(u, 50.0)))
    assert 0 <= float(near.min()) <= float(near.max()) <= 1
    if name in ("plain", "photograph"):
        assert float(near.abs().max()) == 0
    else:
        assert float(near.std()) > 0.05
        assert name == "gradient" or float(far.std()) < 0.5 * float(near.std())


def test_noise_is_smooth_and_hashes_are_even() -> None:
    line = torch.stack([torch.linspace(0, 30, 30001)] * 3, dim=-1) * torch.tensor([1.0, 0.3, 0.2])
    values = smooth(line)
    assert float(values.diff().abs().max()) < 0.02
    assert float(values.std()) > 0.2
    i, j = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    chance = hashed(i.flatten(), j.flatten())
    assert abs(float(chance.mean()) - 0.5) < 0.02
    assert abs(float(torch.corrcoef(torch.stack([chance[:-1], chance[1:]]))[0, 1])) < 0.03


def test_the_test_pictures_are_no_textures() -> None:
    assert not [name for name in NAMES if "motorcycle" in name]


def test_photographs_are_sampled_where_they_are() -> None:
    pytest.importorskip("skimage")
    pictures = photographs(torch.device("cpu"))
    assert pictures is not None
    number = torch.zeros(5)
    u, v = torch.tensor([0.1, 0.5, 0.9, 1.9, -0.1]), torch.full((5,), 0.25)
    fine = pictures.at(number, u, v, torch.full((5,), 1e-6))
    assert torch.allclose(fine[0], fine[3], atol=1e-4)  # mirrored from repeat to repeat
    assert torch.allclose(fine[0], fine[4], atol=1e-4)
    coarse = pictures.at(number, u, v, torch.full((5,), 10.0))
    assert float((coarse - coarse.mean(0)).abs().mean()) < float((fine - fine.mean(0)).abs().mean()) + 0.2
    assert 0 <= float(fine.min()) <= float(fine.max()) <= 1
