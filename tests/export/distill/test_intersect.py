"""Rays against shapes: where they enter and leave, against closed forms and against marching along the ray."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoscene_rt.export.distill.world.batch import World, pack
from videoscene_rt.export.distill.world.description import Description, Light, Shapes, Viewpoints, any_turn, upright
from videoscene_rt.export.distill.world.intersect import first_hit, is_lit, spans
from videoscene_rt.export.distill.world.material import COLUMNS
from videoscene_rt.export.distill.world.shading import surface

PLAIN = np.zeros(COLUMNS)
LIGHT = Light((0, -5, 0), 1.0, 3.0, 0.4, 0.0, (0.5, 0.5, 0.5), 1.0)
NOWHERE = Viewpoints(np.tile(np.eye(4), (2, 1, 1)), np.ones(2))


def scene(*shapes: tuple) -> Description:
    """A shell of 10 × 8 × 12 m and the shapes given as (kind, centre, half, turn)."""
    every = Shapes()
    every.add("shell", (0, 0, 0), (10, 8, 12), PLAIN)
    for kind, centre, half, turn in shapes:
        every.add(kind, centre, half, PLAIN, turn)
    return Description(every, LIGHT, NOWHERE)


def world(*shapes: tuple) -> World:
    return pack([scene(*shapes)])


def rays(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """From within 5 m of the origin towards within 2 m of it."""
    rng = np.random.default_rng(seed)
    starts = rng.normal(size=(count, 3))
    starts *= 5 / np.linalg.norm(starts, axis=1, keepdims=True)
    directions = rng.uniform(-1.2, 1.2, (count, 3)) - starts
    return tuple(torch.from_numpy(part[None].astype(np.float32)) for part in (starts, directions))  # type: ignore[return-value]


def test_a_ball_against_the_closed_form() -> None:
    origins, directions = rays(500)
    enter, leave = spans(world(("ellipsoid", (0.3, -0.2, 0.5), (1.2, 1.2, 1.2), np.eye(3))), origins, directions)
    o, d = origins[0].double().numpy() - (0.3, -0.2, 0.5), directions[0].double().numpy()
    a, b, c = (d * d).sum(1), (o * d).sum(1), (o * o).sum(1) - 1.2**2
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    hit = b * b - a * c > 1e-3
    assert 100 < hit.sum() < 500
    assert np.allclose(enter[0, hit, 1], ((-b - root) / a)[hit], atol=1e-4)
    assert np.allclose(leave[0, hit, 1], ((-b + root) / a)[hit], atol=1e-4)
    assert not bool((enter < leave)[0, b * b - a * c < -1e-3, 1].any())


def inside(kind: str, half: np.ndarray, turn: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether points are inside a shape at the origin, by its definition."""
    x, y, z = np.moveaxis((points @ turn.T) / half, -1, 0)
    if kind == "box":
        return np.maximum(np.maximum(abs(x), abs(y)), abs(z)) <= 1
    if kind == "ellipsoid":
        return x * x + y * y + z * z <= 1
    return (x * x + z * z <= 1) & (abs(y) <= 1)


@pytest.mark.parametrize("kind", ["box", "ellipsoid", "cylinder"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_turned_shape_against_marching(kind: str, seed: int) -> None:
    """Enter and leave lie where 4,000 points along the ray say, to a step's width."""
    rng = np.random.default_rng(seed)
    half, turn = rng.uniform(0.3, 1.4, 3), any_turn(rng)
    origins, directions = rays(200, seed)
    enter, leave = (part[0, :, -1].numpy() for part in spans(world((kind, (0, 0, 0), half, turn)), origins, directions))
    steps = np.linspace(0, 2, 4001)
    points = origins[0].numpy()[:, None] + steps[:, None] * directions[0].numpy()[:, None]
    within = inside(kind, half, turn, points)
    hit = within.any(1)
    assert 20 < hit.sum() < 200
    first, last = steps[within.argmax(1)], steps[4000 - within[:, ::-1].argmax(1)]
    assert np.allclose(enter[hit], first[hit], atol=1e-3)
    assert np.allclose(leave[hit], last[hit], atol=1e-3)
    grazing = (leave - enter)[~hit]
    assert (grazing < 2e-3).all()  # a miss, or a chord shorter than marching sees


def test_the_first_of_several_is_hit_and_its_normal_faces_the_ray() -> None:
    shapes = (
        ("box", (0, 0, 3), (1, 1, 0.5), upright(0.4)),
        ("ellipsoid", (0, 0, 1.5), (0.5, 0.4, 0.3), np.eye(3)),
        ("cylinder", (0.9, 0, 2.0), (0.2, 1.5, 0.2), np.eye(3)),
    )
    one = world(*shapes)
    directions = torch.from_numpy(np.random.default_rng(0).uniform((-0.6, -0.6, 1), (0.6, 0.6, 1), (1, 400, 3))).float()
    origins = torch.zeros_like(directions)
    distance, shape = first_hit(one, origins, directions)
    assert set(shape.unique().tolist()) == {0, 1, 2, 3}
    enter, leave = spans(one, origins, directions)
    nearest = torch.where(enter[..., 1:] < leave[..., 1:], enter[..., 1:], torch.inf).amin(-1)
    assert torch.equal(distance, torch.minimum(nearest, leave[..., 0]))
    met = surface(one, origins + distance[..., None] * directions, shape)
    assert torch.allclose(met.normal.norm(dim=-1), torch.ones_like(distance), atol=1e-4)
    assert bool(((met.normal * directions).sum(-1) < 1e-4).all())
    ball = shape == 2
    expected = (met.position - torch.tensor([0, 0, 1.5])) / torch.tensor([0.5, 0.4, 0.3]) ** 2
    assert torch.allclose(met.normal[ball], (expected / expected.norm(dim=-1, keepdim=True))[ball], atol=1e-3)


def test_the_shell_is_met_from_inside() -> None:
    directions = torch.tensor([[[0.0, 0, 1], [0, 0, -1], [1, 0, 0], [0, -1, 0]]])
    distance, shape = first_hit(world(), torch.zeros_like(directions), directions)
    assert distance[0].tolist() == [12.0, 12.0, 10.0, 8.0]
    assert shape.max() == 0


def test_a_thing_between_two_points_takes_the_light() -> None:
    one = world(("box", (0, 0, 2), (0.5, 0.5, 0.5), np.eye(3)))
    origins = torch.tensor([[[0.0, 0, 4], [0.0, 0, 1], [2, 0, 4]]])
    targets = torch.tensor([[[0.0, 0, 0], [0.0, 0, 0], [2, 0, 0]]])
    assert is_lit(one, origins, targets)[0].tolist() == [False, True, True]


def test_a_scene_does_not_depend_on_the_batch_it_is_in() -> None:
    first = scene(("box", (0, 0, 2), (0.5, 0.7, 0.5), upright(0.3)))
    second = scene(
        ("cylinder", (0, 1, 3), (0.2, 0.7, 0.5), np.eye(3)),
        ("box", (1, 0, 3), (0.2, 0.7, 0.5), np.eye(3)),
        ("box", (-1, 0, 3), (0.2, 0.7, 0.5), np.eye(3)),
    )
    origins, directions = rays(100)
    alone, _ = first_hit(pack([first]), origins, directions)
    beside, _ = first_hit(pack([first, second]), origins.repeat(2, 1, 1), directions.repeat(2, 1, 1))
    assert torch.allclose(alone[0], beside[0], rtol=1e-5, atol=1e-5)
