"""What a step is given: a scene, or input tensors by name, as the arrays that go into the chain's input buffers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from videoscene_rt.chain.arrays import CLOUD, Given
from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.scenes.scene import Scene


def given_inputs(
    given: Scene | Mapping[str, Any], preset: Preset, plan: ChainPlan, bound: frozenset[str]
) -> dict[str, Any]:
    """Arrays by input buffer.

    A scene is fitted to the preset's size. Tensors are taken as they are; a cloud brings its number of points with it unless
    ``num_points`` says otherwise, which may then be a whole number.

    Args:
        given: see `Pipeline.step`.
        preset: whose sizes.
        plan: whose inputs.
        bound: inputs that are the user's own memory; nothing can be given for them.

    Raises:
        InputError: neither a scene nor tensors by name, or something in it does not fit.
    """
    if isinstance(given, Scene):
        found: dict[str, Any] = dict(scene_inputs(given, preset))
    elif isinstance(given, Mapping):
        found = _tensors(dict(given), preset, plan)
    else:
        raise InputError(
            f"scene must be a Scene, not {type(given).__name__}",
            "read a folder with Scene.load(folder), or give the input tensors by name",
        )
    taken = [name for name in found if name in bound]
    if taken:
        raise InputError(
            f"{', '.join(taken)}: bound to memory of your own, so nothing else can be given",
            "write into that memory, and give the other inputs by name",
        )
    return found


def check_count(arrays: Mapping[str, Given], held: int) -> None:
    """Refuse a number of points that reaches beyond the cloud, where the host knows it: behind it lie the points of other clouds.

    Args:
        arrays: by input.
        held: rows of the cloud that is there, if none is given.

    Raises:
        InputError: names the number and the rows.
    """
    count, cloud = arrays.get("num_points"), arrays.get(CLOUD[0])
    if isinstance(count, np.ndarray):
        _check_count(int(count[0]), held if cloud is None else int(cloud.shape[0]))


def _check_count(count: int, rows: int) -> None:
    if not 0 <= count <= rows:
        raise InputError(f"num_points is {count:,}; here it is from 0 to {rows:,}")


def _rows(name: str, array: Any) -> int:
    """How many rows a part of a cloud has, whatever it is an array for: not every one says its shape by that name.

    Raises:
        InputError: it is no array, or has no rows.
    """
    shape = getattr(array, "shape", None)
    if shape is None:
        shape = getattr(array, "__cuda_array_interface__", {}).get("shape")
    try:
        return int((np.asarray(array).shape if shape is None else tuple(shape))[0])
    except Exception as error:  # whatever the object raises
        raise InputError(f"{name}: {type(array).__name__} is no array of rows: {error}") from error


def _tensors(given: dict[str, Any], preset: Preset, plan: ChainPlan) -> dict[str, Any]:
    known = [buffer.name for buffer in plan.of_role("input")]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise InputError(f"the chain has no input {unknown[0]!r}", f"it has {', '.join(known)}")
    rows = {name: _rows(name, given[name]) for name in CLOUD if name in given}
    if len(set(rows.values())) > 1 or (rows and len(rows) < len(CLOUD)):
        raise InputError(f"xyz and rgb belong together and are equally long: {rows}")
    if rows and "num_points" not in given:
        given["num_points"] = rows["xyz"]
    count = given.get("num_points")
    if isinstance(count, (int, np.integer)) and not isinstance(count, bool):
        _check_count(int(count), min(rows.get("xyz", preset.max_points), preset.max_points))
        given["num_points"] = np.array([count], np.int32)
    if max(rows.values(), default=0) > preset.max_points:
        raise InputError(
            f"the cloud has {rows['xyz']:,} points; this preset's max_points is {preset.max_points:,}",
            "thin it (videoscene_rt.scenes.thin does it evenly) or export a preset with a larger max_points",
        )
    return given
