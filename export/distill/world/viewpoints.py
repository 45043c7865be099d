"""Two cameras that see the same part of a scene from a step apart."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from videoscene_rt.export.distill.world.description import Floats, Viewpoints


def looking(position: Floats, target: Floats, roll: float) -> Floats:
    """world_to_camera float64[4,4] of a camera at ``position`` that looks at ``target``, rolled by radians about its axis."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross((0.0, 1.0, 0.0), forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = c * right + s * down, c * down - s * right, forward
    pose[:3, 3] = -pose[:3, :3] @ position
    return pose


def pair(generator: Generator, focal: tuple[float, float], depth: float, forward: float) -> Viewpoints:
    """Cameras at about the origin that look along z.

    The step between them is 2 to 12 % of the depth, sideways as in a stereo pair, or forwards as from a vehicle; they turn
    a little towards or past a common point, and a zoom of a few per cent comes on top.

    Args:
        generator: what is drawn from.
        focal: the range of focal length over image width.
        depth: how far the things are that both look at, metres.
        forward: chance that the step is mostly forwards.
    """
    length = depth * float(np.exp(generator.uniform(np.log(0.02), np.log(0.12))))
    sideways = np.array([generator.choice((-1.0, 1.0)), generator.normal(0.0, 0.12), generator.normal(0.0, 0.2)])
    forwards = np.array([generator.normal(0.0, 0.25), generator.normal(0.0, 0.05), 1.0])
    step = forwards if generator.uniform() < forward else sideways
    step = step / np.linalg.norm(step) * length
    target = np.array([generator.normal(0.0, 0.12), generator.normal(0.08, 0.06), 1.0]) * depth
    # 0: the same direction, as in a rectified pair; 1: both look at one point; beyond: they turn further.
    convergence = generator.uniform(-0.2, 1.3)
    second = target + (1.0 - convergence) * step + generator.normal(0.0, 0.02, 3) * depth
    rolls = generator.normal(0.0, 0.02, 2)
    start = -0.5 * step
    poses = [looking(start, target - 0.5 * step, rolls[0]), looking(start + step, second - 0.5 * step, rolls[1])]
    lens = float(np.exp(generator.uniform(*np.log(focal))))
    return Viewpoints(np.stack(poses), lens * np.array([1.0, generator.uniform(0.98, 1.02)]))
