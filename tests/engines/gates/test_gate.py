"""The gate measures what it says, and nothing wrong passes it."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine as cosine_distance
from skimage.metrics import peak_signal_noise_ratio

from videoscene_rt import BackendError
from videoscene_rt.engines.activations import GraphActivations, Sample
from videoscene_rt.engines.gates import CHAIN, Limits, limits
from videoscene_rt.engines.gates.figures import EQUAL_PSNR, Figures
from videoscene_rt.engines.gates.gate import GateResult, gate

RNG = np.random.default_rng(0)
NONE = Limits()


def gated(reference: Any, found: Any, asked: Limits = NONE, scene: str = "one") -> GateResult:
    """One output of one call."""
    activations = GraphActivations("student", (Sample(scene, {}, {"y": reference}),))
    return gate(lambda inputs: {"y": found}, activations, "fp16", asked, "0" * 64)


def figures(reference: Any, found: Any) -> Figures:
    return gated(reference, found).scenes["one"]["y"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-5, 1e3), st.floats(1e-7, 10))
def test_relative_l2_and_cosine_are_those_of_numpy_and_scipy(seed: int, scale: float, noise: float) -> None:
    rng = np.random.default_rng(seed)
    reference = (scale * rng.standard_normal((3, 4, 5))).astype(np.float32)
    found = reference + (scale * noise * rng.standard_normal(reference.shape)).astype(np.float32)
    measured = figures(reference, found)
    a, b = reference.astype(np.float64), found.astype(np.float64)
    assert measured.relative_l2 == pytest.approx(np.linalg.norm(a - b) / np.linalg.norm(a), rel=1e-6, abs=1e-12)
    assert measured.cosine == pytest.approx(1 - cosine_distance(a.ravel(), b.ravel()), abs=1e-6)


@pytest.mark.parametrize("amount", [1, 3, 40])
def test_psnr_is_that_of_scikit_image_with_a_peak_of_255(amount: int) -> None:
    # A dark picture: with its own maximum as the peak, the figure would be another one.
    reference = RNG.integers(0, 60, (2, 20, 30, 3), dtype=np.uint8)
    found = (reference + RNG.integers(0, amount + 1, reference.shape)).astype(np.uint8)
    measured = figures(reference, found)
    assert measured.psnr == pytest.approx(peak_signal_noise_ratio(reference, found, data_range=255), abs=1e-3)
    assert measured.cosine is None


def test_levels_do_not_wrap_around() -> None:
    black, white = (np.full((1, 8, 8, 3), level, np.uint8) for level in (0, 255))
    assert figures(black, white).psnr == pytest.approx(0.0, abs=1e-6)
    assert figures(white, black).psnr == pytest.approx(0.0, abs=1e-6)


def test_equal_outputs() -> None:
    picture = RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    assert figures(picture, picture.copy()) == Figures(relative_l2=0.0, psnr=EQUAL_PSNR)
    values = RNG.standard_normal(9).astype(np.float32)
    assert figures(values, values.copy()).relative_l2 == 0
    assert figures(values, values.copy()).cosine == pytest.approx(1)


def test_a_reference_of_zeros_has_an_error_all_the_same() -> None:
    zeros = np.zeros((4, 4), np.float32)
    assert figures(zeros, zeros).relative_l2 == 0
    assert figures(zeros, zeros).cosine == 1
    wrong = gated(zeros, zeros + 0.1, Limits(relative_l2=0.1))
    assert not wrong.passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("asked", [NONE, Limits(relative_l2=1e9), Limits(cosine=-1)])
def test_one_value_that_is_not_finite_fails_whatever_the_limits(value: float, asked: Limits) -> None:
    reference = RNG.standard_normal((100, 100)).astype(np.float32)
    found = reference.copy()
    found[3, 4] = value
    result = gated(reference, found, asked)
    assert result.scenes["one"]["y"].nonfinite == 1
    assert not result.passed
    assert "NaN and infinities of y is 1 on one" in result.failures()[0].text
    assert GateResult.model_validate_json(result.model_dump_json()) == result


def test_half_precision_outputs_are_measured() -> None:
    reference = (1000 * RNG.standard_normal(1000)).astype(np.float16)
    assert figures(reference, reference * np.float16(1.001)).relative_l2 == pytest.approx(1e-3, rel=0.2)


def test_a_wrong_timestep_fails_whatever_the_limits() -> None:
    result = gated(np.array([459], np.int32), np.array([460], np.int32))
    assert [failure.text for failure in result.failures()] == ["count of unequal values of y is 1 on one, limit 0"]


@pytest.mark.parametrize(
    ("asked", "figure"),
    [
        ({"relative_l2": 0.01}, "relative L2"),
        ({"cosine": 0.99995}, "cosine similarity"),
    ],
)
def test_each_limit_is_kept(asked: dict[str, float], figure: str) -> None:
    reference = RNG.standard_normal((50, 50)).astype(np.float32)
    for error, passes in (0.009, True), (0.012, False):
        noise = RNG.standard_normal(reference.shape).astype(np.float32)
        noise *= error * np.linalg.norm(reference) / np.linalg.norm(noise)
        result = gated(reference, reference + noise, Limits(**asked))
        assert result.passed == passes
        assert passes or result.failures()[0].figure == figure


def test_a_picture_is_judged_by_psnr_and_without_that_limit_by_its_error() -> None:
    reference = np.full((1, 16, 16, 3), 100, np.uint8)
    found = reference.copy()
    found[0, :4] += 2  # MSE 1: 48.1 dB, relative error 1 %
    for asked, passes in (
        (Limits(psnr=48, relative_l2=0), True),
        (Limits(psnr=49, relative_l2=1), False),
        (Limits(relative_l2=0.011), True),
        (Limits(relative_l2=0.009), False),
    ):
        assert gated(reference, found, asked).passed == passes, asked


def test_the_worst_scene_decides_and_is_named() -> None:
    reference = np.ones((1, 4), np.float32)
    samples = tuple(
        Sample(scene, {"x": np.float32(off)}, {"y": reference}) for scene, off in (("a", 0), ("b", 0.5), ("b", 0.1))
    )
    result = gate(
        lambda inputs: {"y": reference + inputs["x"]},
        GraphActivations("student", samples),
        "fp16",
        Limits(relative_l2=0.4),
        "0" * 64,
    )
    assert result.scenes["a"]["y"].relative_l2 == 0
    assert result.scenes["b"]["y"].relative_l2 == pytest.approx(0.5)
    assert result.overall.relative_l2 == pytest.approx(0.5)
    (failure,) = result.failures()
    assert (failure.scene, failure.limit) == ("b", 0.4)
    assert not result.failures(Limits(relative_l2=0.6))


@pytest.mark.parametrize(
    "found", [np.zeros((2, 2), np.float32), np.zeros((2, 3), np.float16), None], ids=["shape", "dtype", "none"]
)
def test_an_engine_that_gives_something_else_is_refused(found: Any) -> None:
    with pytest.raises(BackendError, match=r"student.*output y, which is float32\[2, 3\]"):
        gated(np.zeros((2, 3), np.float32), found)


def test_a_reference_that_is_not_finite_is_nobodys_measure() -> None:
    with pytest.raises(BackendError, match="reference itself is not finite on one"):
        gated(np.array([np.nan], np.float32), np.array([np.nan], np.float32))


def test_nothing_to_compare_is_no_pass() -> None:
    with pytest.raises(BackendError, match="nothing to compare"):
        gate(dict, GraphActivations("student", ()), "fp16", NONE, "0" * 64)


def test_every_graph_has_limits_in_every_precision_its_recipe_gives(small_bundle: Any, published_bundle: Any) -> None:
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.precision import PRECISIONS, graph_precision

    graphs = {graph for folder in (small_bundle, published_bundle) for graph in Bundle.open(folder).manifest.graphs}
    for ceiling in PRECISIONS:
        for graph in graphs:
            asked = limits(graph, graph_precision(graph, ceiling))
            assert asked.relative_l2 is not None
            assert graph.startswith("decode") == (asked.psnr is not None)
        whole = limits(CHAIN, ceiling)
        assert None not in (whole.relative_l2, whole.cosine, whole.psnr)


def test_a_lower_precision_is_never_asked_for_more() -> None:
    for family in ("student", "encode", "decode", CHAIN):
        steps = [limits(family, precision) for precision in ("fp32", "fp16", "int8")]
        for higher, lower in itertools.pairwise(steps):
            assert (higher.relative_l2 or 0) < (lower.relative_l2 or 0)
            assert (higher.cosine or 0) > (lower.cosine or 0)
            assert (higher.psnr or math.inf) > (lower.psnr or -math.inf)


def test_a_pair_without_limits_is_refused() -> None:
    with pytest.raises(BackendError, match="no limits for graph upsampler in fp16"):
        limits("upsampler", "fp16")


_COMPARED = """
import sys
import numpy as np
from videoscene_rt.engines.gates.figures import comparators, measure
_, distances = comparators()
for array in (np.ones(4, np.float32), np.ones((1, 4, 4, 3), np.uint8)):
    assert measure(array, array * 2, distances).relative_l2 == 1
import polygraphy.util.array
assert polygraphy.util.array.torch.is_installed(), "it is told so while it compares, and not after"
print("torch" in sys.modules)
"""


def test_comparing_imports_no_torch() -> None:
    """Polygraphy would, and lose a Ctrl-C that comes meanwhile, or end with SIGSEGV over half a torch."""
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", _COMPARED], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
