"""Exact ray casting of boxes and balls inside a box-shaped room, vectorised over rays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.scenes.textures import Material, Noise

Floats = NDArray[np.float64]

_CHUNK = 16384
"""Rays traced at once: small enough that the intermediate arrays stay in the processor's cache."""

_AMBIENT = 0.4


@dataclass(frozen=True)
class Box:
    """A box turned by ``yaw`` (radians) about the vertical; ``half`` are half its sides, metres."""

    centre: tuple[float, float, float]
    half: tuple[float, float, float]
    yaw: float
    material: Material


@dataclass(frozen=True)
class Ball:
    """A ball; metres."""

    centre: tuple[float, float, float]
    radius: float
    material: Material


@dataclass(frozen=True)
class Room:
    """The inside of a box from ``low`` to ``high`` (metres, y down), what stands in it, and its lamp.

    ``walls`` are the materials of x = low, x = high, ceiling, floor, z = low, z = high.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    walls: tuple[Material, ...]
    things: tuple[Box | Ball, ...]
    lamp: tuple[float, float, float]
    noise: Noise


def trace(room: Room, origin: Floats, directions: Floats) -> tuple[Floats, NDArray[np.float32]]:
    """What rays from ``origin`` [3] along ``directions`` [3,N] meet: positions [3,N] metres, linear colours [3,N]."""
    count = directions.shape[1]
    positions = np.empty((3, count))
    colours = np.empty((3, count), dtype=np.float32)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        positions[:, part], colours[:, part] = _trace(room, origin[:, None], directions[:, part])
    return positions, colours


def _trace(room: Room, origin: Floats, directions: Floats) -> tuple[Floats, Floats]:
    nearest, wall = _hit_walls(room, origin, directions)
    owner = np.full(directions.shape[1], -1)
    for number, thing in enumerate(room.things):
        distance = _hit(thing, origin, directions)
        closer = distance < nearest
        nearest = np.where(closer, distance, nearest)
        owner[closer] = number
    positions = origin + nearest * directions
    normals, albedo = np.empty_like(positions), np.empty_like(positions)
    for number, material in enumerate(room.walls):
        hit = (owner < 0) & (wall == number)
        normals[:, hit] = 0
        normals[number // 2, hit] = 1 - 2 * (number % 2)
        albedo[:, hit] = material.colour(positions[:, hit], room.noise)
    for number, thing in enumerate(room.things):
        hit = owner == number
        if hit.any():
            local, normals[:, hit] = _surface(thing, positions[:, hit])
            albedo[:, hit] = thing.material.colour(local, room.noise)
    return positions, albedo * _light(room, positions, normals)


def _light(room: Room, positions: Floats, normals: Floats) -> Floats:
    """Ambient and Lambert's law with a hard shadow; the lamp's light falls off softly so that no wall is black."""
    towards = np.array(room.lamp)[:, None] - positions
    distance = np.sqrt((towards * towards).sum(axis=0))
    lambert = np.maximum((towards * normals).sum(axis=0) / distance, 0)
    start = positions + 1e-4 * normals
    path = np.array(room.lamp)[:, None] - start
    lit = np.ones(positions.shape[1], dtype=bool)
    for thing in room.things:
        lit &= _hit(thing, start, path) >= 1
    light: Floats = _AMBIENT + (1.25 - _AMBIENT) * lit * lambert * 9 / (7 + distance * distance)
    return light


def _hit_walls(room: Room, origin: Floats, directions: Floats) -> tuple[Floats, NDArray[np.intp]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        to_low = (np.array(room.low)[:, None] - origin) / directions
        to_high = (np.array(room.high)[:, None] - origin) / directions
    ahead = np.where(directions < 0, to_low, np.where(directions > 0, to_high, np.inf))
    axis = ahead.argmin(axis=0)
    return ahead.min(axis=0), 2 * axis + (np.take_along_axis(directions, axis[None], 0)[0] > 0)


def _hit(thing: Box | Ball, origin: Floats, directions: Floats) -> Floats:
    """How far along each ray, in lengths of its direction, it enters the thing; infinite where it does not."""
    start = origin - np.array(thing.centre)[:, None]
    if isinstance(thing, Ball):
        a = (directions * directions).sum(axis=0)
        b = (start * directions).sum(axis=0)
        c = (start * start).sum(axis=0) - thing.radius**2
        inside = b * b - a * c
        distance = (-b - np.sqrt(np.maximum(inside, 0))) / a
        return np.where((inside > 0) & (distance > 0), distance, np.inf)
    start, along = _turn(start, thing.yaw), _turn(directions, thing.yaw)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / along
        half = np.array(thing.half)[:, None] * np.abs(inverse)
        middle = -start * inverse
    enter, leave = (middle - half).max(axis=0), (middle + half).min(axis=0)
    return np.where((enter < leave) & (enter > 0), enter, np.inf)


def _surface(thing: Box | Ball, positions: Floats) -> tuple[Floats, Floats]:
    """Positions in the thing's own frame (for its texture), and normals in the world's."""
    local = positions - np.array(thing.centre)[:, None]
    if isinstance(thing, Ball):
        return local, local / thing.radius
    local = _turn(local, thing.yaw)
    axis = np.abs(local / np.array(thing.half)[:, None]).argmax(axis=0)[None]
    normals = np.zeros_like(local)
    np.put_along_axis(normals, axis, np.sign(np.take_along_axis(local, axis, 0)), 0)
    return local, _turn(normals, -thing.yaw)


def _turn(vectors: Floats, yaw: float) -> Floats:
    """[3,N] (or [3,1]) turned by −yaw about y."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    x, y, z = vectors
    return np.stack([cosine * x - sine * z, y, sine * x + cosine * z])
