"""An engine is held against the manifest's specification; device memory is cut into contiguous parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engines.tensorrt.fakes import Engine
from videoscene_rt import BackendError
from videoscene_rt.engines.slices import contiguous_part
from videoscene_rt.engines.specs import GraphSpec, Parity, TensorSpec
from videoscene_rt.engines.tensorrt.plan import check_tensors, half_tensors

SPEC = GraphSpec(
    name="policy",
    file="policy.onnx",
    opset=18,
    inputs=(TensorSpec(name="z_r", dtype="float32", shape=(1, 3, 16, 4, 4), meaning="latents"),),
    outputs=(
        TensorSpec(name="timestep", dtype="int32", shape=(1,), meaning="chosen"),
        TensorSpec(name="frames", dtype="uint8", shape=(4, 8, 8, 3), meaning="frames"),
    ),
    parity=Parity(reference="torch", relative_l2={}, max_abs={}, limit=0.0),
)
Z = ("z_r", "INPUT", "FLOAT", (1, 3, 16, 4, 4))
T = ("timestep", "OUTPUT", "INT32", (1,))
F = ("frames", "OUTPUT", "UINT8", (4, 8, 8, 3))


def test_the_same_tensors_in_any_order() -> None:
    check_tensors(Engine(Z, T, F), SPEC)
    check_tensors(Engine(F, Z, T), SPEC)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ((Z, T), r"frames is missing in the plan, output uint8\[4, 8, 8, 3\] in the manifest"),
        (
            (Z, T, F, ("extra", "OUTPUT", "FLOAT", (1,))),
            r"extra is output float32\[1\] in the plan, missing in the manifest",
        ),
        (((*Z[:2], "HALF", Z[3]), T, F), r"z_r is input float16\[1, 3, 16, 4, 4\] in the plan, input float32"),
        ((Z, (*T[:2], "INT64", T[3]), F), r"timestep is output INT64\[1\] in the plan"),
        ((Z, T, (*F[:3], (8, 8, 8, 3))), r"frames is output uint8\[8, 8, 8, 3\] in the plan"),
        ((("z_r", "OUTPUT", *Z[2:]), T, F), r"z_r is output float32.* in the plan, input float32"),
    ],
)
def test_other_tensors_are_refused_by_name(
    tensors: tuple[tuple[str, str, str, tuple[int, ...]], ...], words: str
) -> None:
    with pytest.raises(BackendError, match=words):
        check_tensors(Engine(*tensors), SPEC)


def test_what_is_fp16_in_a_plan_is_seen() -> None:
    cache = ("cache_00", "INPUT", "HALF", (1, 8, 2, 4, 4))
    assert half_tensors(Engine(Z, cache, T, F, ("next_cache_00", "OUTPUT", *cache[2:]))) == {
        "cache_00",
        "next_cache_00",
    }


SLICES = st.builds(slice, st.none() | st.integers(-4, 4), st.none() | st.integers(-4, 4), st.sampled_from([None, 1, 2]))


@given(shape=st.lists(st.integers(1, 4), max_size=4).map(tuple), index=st.lists(SLICES, max_size=4).map(tuple))
def test_parts_of_device_memory_are_numpys(shape: tuple[int, ...], index: tuple[slice, ...]) -> None:
    whole = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    try:
        offset, part = contiguous_part(shape, index)
    except ValueError:
        beyond = len(index) > len(shape)
        assert beyond or not whole[index].flags.c_contiguous or any(span.step == 2 for span in index)
        return
    assert part == whole[index].shape
    if whole[index].size:
        assert np.array_equal(whole.ravel()[offset : offset + whole[index].size].reshape(part), whole[index])
