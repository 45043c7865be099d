"""Recipes are data: patterns, precisions under a ceiling, digests."""

from __future__ import annotations

import subprocess
import sys

import pytest

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.precision import graph_precision, recipe_digest, recipe_for
from videoscene_rt.engines.precision.patterns import matches
from videoscene_rt.engines.precision.recipe import Ends

AUTOENCODER = (
    "encode_images",
    "encode_clip",
    "encode_stream",
    "encode_first",
    "decode_clip",
    "decode_stream",
    "decode_next",
)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("blocks.*/Add", "blocks.3/Add", True),
        ("blocks.*/Add", "blocks.3.attn/Add", False),
        ("blocks.*/Add*", "blocks.3/Add_12", True),
        ("blocks.**", "blocks.3.attn.to_q/MatMul", True),
        ("**/MatMul", "blocks.3.attn.to_q/MatMul", True),
        ("ff.net.*/MatMul", "ff.net.0.proj/MatMul", False),
        ("blocks.1/Add", "blocks_1/Add", False),
        ("blocks.1/Add", "blocks.1/Add_2", False),
    ],
)
def test_a_star_stays_within_one_piece_of_a_name(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


@pytest.mark.parametrize("ceiling", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("graph", ["renderer", "policy"])
def test_renderer_and_policy_stay_fp32(graph: str, ceiling: str) -> None:
    assert graph_precision(graph, ceiling) == "fp32"


@pytest.mark.parametrize("graph", AUTOENCODER)
def test_int8_is_not_for_the_autoencoder(graph: str) -> None:
    assert [graph_precision(graph, ceiling) for ceiling in ("fp32", "fp16", "int8")] == ["fp32", "fp16", "fp16"]


def test_the_student_follows_the_ceiling() -> None:
    assert [graph_precision("student", ceiling) for ceiling in ("fp32", "fp16", "int8")] == ["fp32", "fp16", "int8"]


def test_unknown_graphs_and_precisions_are_refused() -> None:
    with pytest.raises(InputError, match="teacher"):
        graph_precision("teacher", "fp16")
    with pytest.raises(InputError, match="bf16"):
        graph_precision("student", "bf16")


@pytest.mark.parametrize(
    ("blocks", "kept"),
    [
        (1, set()),
        (2, set()),
        (3, {0, 2}),
        (4, {0, 3}),
        (6, {0, 5}),
        (28, {0, 1, 26, 27}),
        (42, {0, 1, 2, 39, 40, 41}),
    ],
)
def test_the_ends_that_keep_their_precision_scale_with_depth(blocks: int, kept: set[int]) -> None:
    recipe = recipe_for("student").int8
    assert recipe is not None
    assert recipe.ends.kept(blocks) == kept


def test_there_is_always_a_block_between_the_ends() -> None:
    assert all(len(Ends(prefix="b.", one_in=1, why="").kept(blocks)) < blocks for blocks in range(1, 50))


def test_a_changed_recipe_has_another_digest_and_a_changed_reason_has_not() -> None:
    recipe = recipe_for("student")
    before = recipe_digest("student", "fp16")
    first, *others = recipe.rules
    flipped = recipe.model_copy(update={"rules": (first.model_copy(update={"precision": "fp16"}), *others)})
    reworded = recipe.model_copy(update={"rules": (first.model_copy(update={"why": "because"}), *others)})
    margin = recipe.model_copy(update={"overflow_margin": recipe.overflow_margin * 2})

    assert recipe_digest("student", "fp16", recipe) == before
    assert recipe_digest("student", "fp16", reworded) == before
    assert recipe_digest("student", "fp16", flipped) != before
    assert recipe_digest("student", "fp16", margin) != before


def test_the_int8_part_counts_for_int8_alone() -> None:
    recipe = recipe_for("student")
    assert recipe.int8 is not None
    changed = recipe.model_copy(update={"int8": recipe.int8.model_copy(update={"percentile": 99.0})})

    assert recipe_digest("student", "int8", changed) != recipe_digest("student", "int8")
    assert recipe_digest("student", "fp16", changed) == recipe_digest("student", "fp16")
    assert recipe_digest("student", "fp32", changed) == recipe_digest("policy", "fp32")


def test_reading_recipes_loads_no_onnx() -> None:
    code = (
        "import sys; from videoscene_rt.engines import precision; precision.graph_precision('student', 'int8');"
        "precision.recipe_digest('student', 'int8');"
        "sys.exit(any(name.split('.')[0] in ('onnx', 'onnx_ir', 'onnxruntime') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
