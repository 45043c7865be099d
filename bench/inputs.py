"""What goes into a graph that is measured: seeded values, the same for every backend and baseline, or values somebody recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import Manifest
from videoscene_rt.engines.specs import GraphSpec, Signature, TensorSpec

Arrays = Mapping[str, npt.NDArray[Any]]
_POINTS_IN_USE = 0.9
_SIGMA = 0.05  # about the median of the published exp(N(−3, 0.5))


def seeded_inputs(
    manifest: Manifest, graph: str, seed: int, overrides: Arrays | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Valid inputs of a graph, in its documented dtypes and shapes.

    Floats are standard normal, bytes uniform, the timestep is the middle candidate of the policy, σ is 0.05. The renderer sees a
    cloud in front of, beside and behind cameras that move a little, 9 in 10 points of its buffer in use.

    Args:
        manifest: the bundle's.
        graph: its name.
        seed: of the values; an input's depend on the seed and its name alone.
        overrides: values to take instead, by input.

    Raises:
        InputError: an override is for no input of the graph, or of another dtype or shape.
    """
    spec = manifest.graphs[graph]
    arrays = {tensor.name: _draw(tensor, manifest, seed) for tensor in spec.inputs}
    if graph == "renderer":
        arrays.update(_view(spec, seed))
    for name, array in (overrides or {}).items():
        if name not in arrays or (array.dtype, array.shape) != (arrays[name].dtype, arrays[name].shape):
            raise InputError(f"graph {graph} takes no {name}: {array.dtype}{list(array.shape)}")
        arrays[name] = np.ascontiguousarray(array)
    return arrays


def specs_sha256(spec: Signature) -> str:
    """A digest of what a graph takes and gives: names, dtypes and shapes."""
    return text_sha256([spec.name, *map(str, spec.inputs), "→", *map(str, spec.outputs)])


def rms(array: npt.NDArray[Any]) -> float | None:
    """Root mean square in float64; None where a value is not finite."""
    values = array.astype(np.float64)
    return float(np.sqrt(np.mean(values * values))) if np.isfinite(values).all() else None


def poison(spec: TensorSpec) -> npt.NDArray[Any]:
    """What an output holds before the first run: NaN, or a byte pattern; whoever does not write an element is found out."""
    if np.issubdtype(np.dtype(spec.dtype), np.floating):
        return np.full(spec.shape, np.nan, spec.dtype)
    return np.full(spec.shape, 0x5A, spec.dtype)


def _draw(spec: TensorSpec, manifest: Manifest, seed: int) -> npt.NDArray[Any]:
    rng = _rng(seed, spec.name)
    if spec.name == "timestep":
        timesteps = manifest.policy.timesteps
        return np.full(spec.shape, timesteps[len(timesteps) // 2], np.int32)
    if spec.name == "num_points":
        return np.full(spec.shape, max(1, int(manifest.preset.max_points * _POINTS_IN_USE)), np.int32)
    if spec.name == "sigma":
        return np.full(spec.shape, _SIGMA, np.float32)
    if spec.dtype == "uint8":
        return rng.integers(0, 256, spec.shape, dtype=np.uint8)
    if spec.dtype == "int32":
        raise InputError(f"there is no rule for the input {spec}; give its values")
    return rng.standard_normal(spec.shape, dtype=np.float32).astype(spec.dtype)


def _view(spec: GraphSpec, seed: int) -> dict[str, npt.NDArray[Any]]:
    frames, height, width, _ = spec.output("frames").shape
    points = spec.input("xyz").shape[0]
    rng = _rng(seed, "view")
    xyz = rng.uniform((-4, -3, -1), (4, 3, 8), (points, 3)).astype(np.float32)
    poses = np.tile(np.eye(4, dtype=np.float32), (frames, 1, 1))
    # A turn by 2·arctan(h), in plain arithmetic: the same bits on every machine.
    half = rng.uniform(-0.15, 0.15, frames)
    poses[:, 0, 0] = poses[:, 2, 2] = (1 - half * half) / (1 + half * half)
    poses[:, 0, 2] = 2 * half / (1 + half * half)
    poses[:, 2, 0] = -poses[:, 0, 2]
    poses[:, :3, 3] = rng.uniform(-0.5, 0.5, (frames, 3))
    focal = 0.8 * width
    camera = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]], np.float32)
    return {"xyz": xyz, "world_to_camera": poses, "intrinsics": np.tile(camera, (frames, 1, 1))}


def _rng(seed: int, name: str) -> np.random.Generator:
    key = int(text_sha256([f"{seed}:{name}"])[:32], 16)
    return np.random.Generator(np.random.Philox(key=key))
