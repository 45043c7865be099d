"""Weights from a seed: for presets that have no checkpoint, and for tests. The same on every machine.

Each tensor has a random stream of its own, keyed by the seed and the tensor's name, so a weight depends neither on
the order in which modules are built, nor on the global state of any generator, nor on torch's version: the numbers
are NumPy's Philox.
"""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np
import torch
from torch import nn

BIAS_SCALE = 0.02


def seed_weights(module: nn.Module, seed: int, prefix: str = "") -> None:
    """Overwrite every parameter of a module in place; buffers stay as they are.

    Args:
        module: on a real device (not "meta"); any floating-point dtype.
        seed: any non-negative integer.
        prefix: put before each parameter's name, so that two modules with equal names inside get different weights.

    Raises:
        ValueError: a parameter is on the meta device.
    """
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.is_meta:
                raise ValueError(f"parameter {prefix}{name} is on the meta device and holds no numbers")
            parameter.copy_(torch.from_numpy(seeded_array(prefix + name, tuple(parameter.shape), seed)))


def seeded_array(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """The weight of that name: what `seed_weights` writes, without needing the module.

    Two or more axes (linear and convolution weights): normal with standard deviation 1/√fan_in, which keeps the scale
    of activations. One axis or none: a ``weight`` (of a norm) is 1, anything else (a bias) is normal with standard
    deviation 0.02: small, but not the zero that would hide a bias that is lost.

    Returns:
        float32 of that shape.
    """
    if len(shape) < 2 and name.rpartition(".")[2] == "weight":
        return np.ones(shape, np.float32)
    scale = BIAS_SCALE if len(shape) < 2 else prod(shape[1:]) ** -0.5
    key = int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:16], "little")
    values = np.asarray(
        np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, dtype=np.float32), np.float32
    )
    values *= np.float32(scale)  # in place: it may be large
    return values
