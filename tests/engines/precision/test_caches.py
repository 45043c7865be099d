"""Caches in FP16 between the chunks of an FP16 autoencoder: which ones, and that no number changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.parser import parse_model

from tests.support.onnx_runs import run_onnx, run_rounding
from videoscene_rt.engines.activations import Activations, GraphActivations, Sample
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.precision import Derived, derive, derive_weak, recipe_digest, recipe_for
from videoscene_rt.engines.precision.caches import half_inputs
from videoscene_rt.engines.precision.placement import place
from videoscene_rt.engines.precision.recipe import Recipe, Rule
from videoscene_rt.engines.precision.source import load_source

CHUNKS = ("encode_first", "encode_next", "decode_first", "decode_next")
HALF, FLOAT = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
Arrays = dict[str, np.ndarray]


def wide_caches(graph: str) -> Recipe:
    """The package's recipe with caches left in FP32."""
    return recipe_for(graph).model_copy(update={"half_caches": None})


def types(path: Path) -> dict[str, int]:
    graph = onnx.load(path, load_external_data=False).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}


@pytest.mark.parametrize("graph", CHUNKS)
def test_all_caches_are_fp16_and_nothing_else_that_is_documented(graph: str, published: Bundle, tmp_path: Path) -> None:
    derived = derive(published, graph, "fp16", None, tmp_path / "half.onnx")
    onnx.checker.check_model(str(derived.path), full_check=True)
    spec = published.graph(graph)
    caches = [tensor.name for tensor in (*spec.inputs, *spec.outputs) if "cache" in tensor.name]
    assert sorted(derived.half) == sorted(caches)
    expected = {tensor.name: tensor.dtype for tensor in (*spec.inputs, *spec.outputs)} | dict.fromkeys(
        caches, "float16"
    )
    found = types(derived.path)
    assert {name: onnx.helper.tensor_dtype_to_np_dtype(dtype).name for name, dtype in found.items()} == expected
    before = derive(published, graph, "fp16", None, tmp_path / "before.onnx", recipe=wide_caches(graph))
    assert before.half == ()
    assert casts(derived.path) < casts(before.path), "what was cast up, joined in FP32 and cast down is joined in FP16"


def casts(path: Path) -> int:
    return sum(node.op_type == "Cast" for node in onnx.load(path, load_external_data=False).graph.node)


def writer(path: Path, output: str) -> str:
    """The operator that writes an output."""
    (node,) = (node for node in onnx.load(path, load_external_data=False).graph.node if output in node.output)
    return node.op_type


def clip(verb: str, chunks: int) -> Iterator[Arrays]:
    """Random inputs of so many chunks, but for their caches."""
    rng = np.random.default_rng(7)
    spans = list(zip(frame_chunks(8 * chunks + 1), latent_chunks(2 * chunks + 1), strict=True))
    for (begin, end), (low, high) in spans:
        latent = rng.standard_normal((1, high - low, 16, 4, 6), dtype=np.float32)
        if verb == "decode":
            yield {"latent": latent}
        else:
            frames = rng.integers(0, 256, (end - begin, 32, 48, 3), dtype=np.uint8)
            yield {"frames": frames, "posterior_noise": latent}


def run_chunks(verb: str, derived: dict[str, Derived], run: Any) -> list[Arrays]:
    """Three chunks, one after the other: the last one reads what a next chunk wrote."""
    outputs, caches = [], {}
    for number, inputs in enumerate(clip(verb, 3)):
        found = run(derived[f"{verb}_{'next' if number else 'first'}"].path, {**inputs, **caches})
        caches = {name.removeprefix("next_"): array for name, array in found.items() if name.startswith("next_")}
        outputs.append(found)
    return outputs


@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_no_number_changes(verb: str, published: Bundle, tmp_path: Path) -> None:
    """With every FP16 value rounded, by ONNX's own evaluator: ONNX Runtime's CPU provider leaves roundings out, others in each graph."""
    graphs = [graph for graph in CHUNKS if graph.startswith(verb)]
    half = {name: derive(published, name, "fp16", None, tmp_path / "half" / name) for name in graphs}
    wide = {
        name: derive(published, name, "fp16", None, tmp_path / "wide" / name, recipe=wide_caches(name))
        for name in graphs
    }
    for one, other in zip(run_chunks(verb, half, run_rounding), run_chunks(verb, wide, run_rounding), strict=True):
        for name, array in one.items():
            if name.startswith("next_"):
                assert array.dtype == np.float16
                assert np.array_equal(array, other[name].astype(np.float16)), name
            else:
                assert array.dtype == other[name].dtype
                assert np.array_equal(array, other[name]), name
                assert array.std() > 0
    reference = [Derived(published.graph_path(name), "fp32", ()) for name in graphs]
    exact = run_chunks(verb, dict(zip(graphs, reference, strict=True)), run_onnx)
    for found, expected in zip(run_chunks(verb, half, run_onnx), exact, strict=True):
        name = "frames" if verb == "decode" else "latent"
        gap = found[name].astype(np.float64) - expected[name]
        assert np.linalg.norm(gap) < 4e-3 * np.linalg.norm(expected[name].astype(np.float64))


def test_a_convolution_in_fp32_keeps_its_cache_in_fp32_in_both_graphs(published: Bundle, tmp_path: Path) -> None:
    own = recipe_for("decode_next")
    island = Rule(nodes="model.up_blocks.1.resnets.0.conv2**", ops=("Conv",), precision="fp32", why="asked for")
    recipe = own.model_copy(update={"rules": (island, *own.rules)})
    following = derive(published, "decode_next", "fp16", None, tmp_path / "next.onnx", recipe=recipe)
    first = derive(published, "decode_first", "fp16", None, tmp_path / "first.onnx", recipe=recipe)
    count = len(published.graph("decode_next").state)
    assert len(following.half) == 2 * (count - 1)
    (kept,) = {name for name, dtype in types(following.path).items() if "cache" in name and dtype == FLOAT} & set(
        published.graph("decode_next").state.values()
    )
    assert set(first.half) == {name for name in following.half if name.startswith("next_")}
    assert types(first.path)[f"next_{kept}"] == types(following.path)[f"next_{kept}"] == FLOAT
    weak = derive_weak(published, "decode_first", "fp16", None, tmp_path / "weak.onnx", recipe=recipe)
    assert weak.half == first.half


def test_what_the_overflow_scan_finds_in_the_next_chunk_decides_for_the_first_too(
    published: Bundle, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    inputs = {
        tensor.name: rng.standard_normal(tensor.shape, dtype=np.float32)
        for tensor in published.graph("decode_next").inputs
    }
    inputs["cache_05"][0, 3, 1, 2, 2] = 3e4
    sample = GraphActivations("decode_next", (Sample("bright", inputs, {}),))
    activations = Activations({"decode_next": sample}, "0" * 64, ("bright",))
    following = derive(published, "decode_next", "fp16", activations, tmp_path / "next.onnx")
    first = derive(published, "decode_first", "fp16", activations, tmp_path / "first.onnx")
    assert "cache_05" not in following.half
    assert "cache_04" in following.half
    assert set(first.half) == {name for name in following.half if name.startswith("next_")}


def test_a_first_chunk_that_stays_fp32_writes_what_the_next_one_reads(published: Bundle, tmp_path: Path) -> None:
    """Its own first convolution is FP32 for its latent's sake; the next chunk's would round the cache, so it is rounded here."""
    latent = np.random.default_rng(0).standard_normal((1, 3, 16, 4, 6), dtype=np.float32)
    latent[0, 2, 3, 1, 1] = 2.5e4
    sample = GraphActivations("decode_first", (Sample("bright", {"latent": latent}, {}),))
    activations = Activations({"decode_first": sample}, "0" * 64, ("bright",))
    first = derive(published, "decode_first", "fp16", activations, tmp_path / "first.onnx")
    plain = derive(published, "decode_first", "fp16", None, tmp_path / "plain.onnx")
    assert first.half == plain.half
    onnx.checker.check_model(str(first.path), full_check=True)
    assert writer(plain.path, "next_cache_00") == "Slice"
    assert writer(first.path, "next_cache_00") == "Cast", "its last frames are FP32 until then"
    expected = run_onnx(published.graph_path("decode_first"), {"latent": latent})["next_cache_00"]
    found = run_onnx(first.path, {"latent": latent})["next_cache_00"]
    assert np.array_equal(found, expected.astype(np.float16))


def test_a_weak_graph_stays_fp32_and_says_which_caches_are_not(published: Bundle, tmp_path: Path) -> None:
    weak = derive_weak(published, "decode_next", "fp16", None, tmp_path / "weak.onnx")
    assert weak.half == derive(published, "decode_next", "fp16", None, tmp_path / "typed.onnx").half
    assert HALF not in types(weak.path).values()
    assert derive(published, "decode_next", "fp32", None, tmp_path / "fp32.onnx").half == ()


@pytest.mark.parametrize(
    ("body", "narrow"),
    [
        ("j = Concat <axis = 0> (cache, x) next = Slice (j, b, e) y = Relu (j)", True),
        ("j = Concat <axis = 0> (cache, x) next = Slice (j, b, e) y = Tanh (j)", False),
        ("j = Concat <axis = 0> (cache, x) next = Slice (j, b, e) r = Relu (j) t = Tanh (cache) y = Concat <axis = 0> (r, t)", False),
        ("next = Slice (x, b, e) y = Concat <axis = 0> (cache, x)", False),
        ("next = Identity (cache) y = Relu (x)", False),
    ],
    ids=["read in FP16", "read in FP32", "read in both", "leaves as another output", "read by nothing"],
)  # fmt: skip
def test_who_reads_a_cache_decides(body: str, narrow: bool, tmp_path: Path) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
        g (float[2,3] cache, float[2,3] x) => (float[2,3] next, float[N,3] y) <int64[1] b = {{2}}, int64[1] e = {{4}}> {{ {body} }}"""
    model = parse_model(text)
    for node in model.graph.node:
        node.name = node.output[0]
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "g.onnx")
    graph = load_source(tmp_path / "g.onnx")
    rule = Rule(nodes="**", ops=("Tanh",), precision="fp32", why="asked for")
    recipe = Recipe(graphs=("g",), ceilings={"fp16": "fp16"}, why="", rules=(rule,))
    found = half_inputs(graph.graph, {"next": "cache"}, place(graph, recipe, {}), {})
    assert found == ({"cache"} if narrow else set())
    assert half_inputs(graph.graph, {"next": "cache"}, place(graph, recipe, {"cache": "wide"}), {"cache"}) == set()


def test_old_plans_of_chunks_are_not_taken_for_new_ones() -> None:
    for graph in CHUNKS:
        assert recipe_digest(graph, "fp16") != recipe_digest(graph, "fp16", wide_caches(graph))
        assert recipe_digest(graph, "fp32") == recipe_digest(graph, "fp32", wide_caches(graph))
    for graph in ("decode_clip", "decode_stream", "encode_images"):
        assert recipe_digest(graph, "fp16") == recipe_digest(graph, "fp16", wide_caches(graph))
