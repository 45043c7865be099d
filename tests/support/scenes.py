"""Scenes for tests that need one and do not care which."""

from __future__ import annotations

from typing import Any

import numpy as np

from videoscene_rt import Scene


def scene(points: int = 2000, height: int = 32, width: int = 48, seed: int = 0, **changes: Any) -> Scene:
    """A random coloured cloud before two cameras that stand 0.2 m apart."""
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    poses[1, 0, 3] = -0.2
    camera = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1]], np.float32)
    fields: dict[str, Any] = {
        "images": rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8),
        "xyz": rng.uniform((-1, -1, 1), (1, 1, 4), (points, 3)).astype(np.float32),
        "rgb": rng.integers(0, 256, (points, 3), dtype=np.uint8),
        "intrinsics": np.stack([camera, camera]),
        "world_to_camera": poses,
    }
    return Scene(**{**fields, **changes})
