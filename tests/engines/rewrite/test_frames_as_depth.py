"""The tiny autoencoder's graphs before and after the rewrite: the same numbers; everything else is left alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from tests.support.activations import record_rooms
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive, derive_weak
from videoscene_rt.engines.precision.source import load_source, save_derived
from videoscene_rt.engines.rewrite import NotApplicable, Rewrite, apply, rewrites_for

DEPTH = rewrites_for("decode_clip", "tensorrt")
GRAPHS = ("encode_images", "encode_clip", "decode_clip")


@pytest.fixture(scope="module")
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def _run(path: Path, feed: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    found = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]).run(None, feed)
    return np.concatenate([np.asarray(one, np.float64) for one in found])


@pytest.fixture(scope="module")
def activations(bundle: Bundle) -> Activations:
    return record_rooms(bundle.folder)


def _feeds(activations: Activations, graph: str) -> list[dict[str, np.ndarray]]:
    return [dict(sample.inputs) for sample in activations.graphs[graph].samples[:2]]


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(((found - expected) ** 2).sum() / (expected**2).sum()))


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_numbers_stay(bundle: Bundle, activations: Activations, graph: str, tmp_path: Path) -> None:
    derive(bundle, graph, "fp32", None, tmp_path / "graph.onnx", rewrites=DEPTH)
    for feed in _feeds(activations, graph):
        expected = _run(bundle.graph_path(graph), feed)
        found = _run(tmp_path / "graph.onnx", feed)
        assert found.shape == expected.shape
        if graph == "decode_clip":  # levels: a value that lies between two may be rounded either way
            assert np.abs(found - expected).max() <= 1
            assert (found != expected).mean() < 1e-3
        else:
            assert _relative(found, expected) < 2e-6


def test_the_images_are_two_clips_of_their_own(bundle: Bundle, activations: Activations, tmp_path: Path) -> None:
    derive(bundle, "encode_images", "fp32", None, tmp_path / "graph.onnx", rewrites=DEPTH)
    given = _feeds(activations, "encode_images")[1]
    before = _run(tmp_path / "graph.onnx", given)
    assert before.shape == (2, 1, 16, 4, 6)
    for changed in (0, 1):
        images = given["images"].copy()
        images[changed] = 255 - images[changed]
        after = _run(tmp_path / "graph.onnx", {**given, "images": images})
        assert np.array_equal(after[1 - changed], before[1 - changed])
        assert not np.array_equal(after[changed], before[changed])


def test_a_clip_of_one_frame_has_no_past(bundle: Bundle) -> None:
    """Two frames of an image in the first stage, one after that: half of a kernel for zeros would be half of its work."""
    model = load_source(bundle.graph_path("encode_images"))
    apply(DEPTH[0], model)
    depths = {
        node.name: (node.inputs[1].shape[2], node.outputs[0].shape[:3])  # type: ignore[index, union-attr]
        for node in model.graph
        if node.op_type == "Conv" and (node.name or "").endswith(".conv.0/Conv")
    }
    assert [depth for depth, _ in depths.values()] == [2] * 3 + [1] * 6
    assert [list(shape)[::2] for _, shape in depths.values()] == [[2, 2]] * 3 + [[2, 1]] * 6


@pytest.mark.parametrize("graph", GRAPHS)
def test_nothing_copies_frames_between_convolutions(bundle: Bundle, graph: str) -> None:
    model = load_source(bundle.graph_path(graph))
    said = apply(DEPTH[0], model)
    assert said.startswith("frames as depth: ")
    nodes = list(model.graph)
    places = [index for index, node in enumerate(nodes) if node.op_type in ("Conv", "ConvTranspose")]
    between = Counter(node.op_type for node in nodes[places[0] : places[-1] + 1])
    assert set(between) <= {"Conv", "ConvTranspose", "Relu", "Add"}
    assert all(len(node.outputs[0].shape or ()) == 5 for node in nodes[places[0] : places[-1] + 1])
    assert between["ConvTranspose"] == (3 if graph == "decode_clip" else 0)


@pytest.mark.parametrize("graph", GRAPHS)
def test_fp16_stays_as_close_as_it_was(bundle: Bundle, activations: Activations, graph: str, tmp_path: Path) -> None:
    derive(bundle, graph, "fp16", activations, tmp_path / "plain.onnx")
    derive(bundle, graph, "fp16", activations, tmp_path / "depth.onnx", rewrites=DEPTH)
    for feed in _feeds(activations, graph):
        expected = _run(bundle.graph_path(graph), feed)
        plain, depth = (_relative(_run(tmp_path / f"{name}.onnx", feed), expected) for name in ("plain", "depth"))
        assert depth < 1.5 * plain + 1e-5


def test_the_convolutions_keep_their_names_and_precisions(bundle: Bundle, tmp_path: Path) -> None:
    plain = derive_weak(bundle, "decode_clip", "fp16", None, tmp_path / "plain.onnx")
    depth = derive_weak(bundle, "decode_clip", "fp16", None, tmp_path / "depth.onnx", rewrites=DEPTH)
    assert not plain.notes
    assert [note.partition(":")[0] for note in depth.notes] == ["frames as depth"]
    renamed = {name.replace("/ConvTranspose", "/Conv"): precision for name, precision in depth.layer_precisions.items()}
    assert renamed.items() <= plain.layer_precisions.items()
    gone = set(plain.layer_precisions) - set(renamed)
    assert gone == {f"autoencoder.decoder.{index}.conv/Conv" for index in (7, 13, 19)}  # contained in what follows
    assert sum("ConvTranspose" in name for name in depth.layer_precisions) == 3


def test_a_value_that_must_stay_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    model = load_source(bundle.graph_path("decode_clip"))
    doubled = next(node.outputs[0].name for node in model.graph if node.op_type == "Resize")
    with pytest.raises(NotApplicable, match="must be kept"):
        apply(DEPTH[0], model, {doubled})
    kept = next(
        node.outputs[0].name for node in load_source(bundle.graph_path("decode_clip")).graph if node.op_type == "Conv"
    )
    model = load_source(bundle.graph_path("decode_clip"))
    apply(DEPTH[0], model, {kept})
    assert kept in {value.name for node in model.graph for value in node.outputs}


@pytest.mark.parametrize("graph", ["encode_stream", "decode_stream", "student"])
def test_other_graphs_are_left_alone(bundle: Bundle, graph: str, tmp_path: Path) -> None:
    derive(bundle, graph, "fp32", None, tmp_path / "plain.onnx")
    derived = derive(bundle, graph, "fp32", None, tmp_path / "tried.onnx", rewrites=DEPTH)
    assert [note.partition(":")[0] for note in derived.notes] == ["not rewritten (frames_as_depth)"]
    plain, tried = (ir.load(tmp_path / f"{name}.onnx") for name in ("plain", "tried"))
    assert [(node.name, node.op_type) for node in plain.graph] == [(node.name, node.op_type) for node in tried.graph]


def test_the_published_autoencoder_is_left_alone(published_bundle: Path, tmp_path: Path) -> None:
    derived = derive(
        Bundle.open(published_bundle), "encode_images", "fp32", None, tmp_path / "graph.onnx", rewrites=DEPTH
    )
    assert derived.notes[0].startswith("not rewritten (frames_as_depth)")


@pytest.mark.parametrize(
    "change", ["a bilinear resize", "padding that is not zero", "a slice of the first frames", "a grouped conv"]
)
def test_what_looks_alike_is_refused(bundle: Bundle, change: str, tmp_path: Path) -> None:
    model = load_source(bundle.graph_path("decode_clip"))
    nodes = {node.op_type: node for node in reversed(list(model.graph))}
    if change == "a bilinear resize":
        nodes["Resize"].attributes["mode"] = ir.AttrString("mode", "linear")
    elif change == "padding that is not zero":
        nodes["Pad"].attributes["mode"] = ir.AttrString("mode", "edge")
    elif change == "a slice of the first frames":
        starts = ir.Value(name="one", const_value=ir.tensor(np.array([1], np.int64)))
        model.graph.initializers.add(starts)
        nodes["Slice"].replace_input_with(1, starts)
    else:
        nodes["Conv"].attributes["group"] = ir.AttrInt64("group", 2)
    with pytest.raises(NotApplicable):
        apply(DEPTH[0], model)


@pytest.mark.parametrize("change", ["a pad across clips", "pads of two kinds", "clips in another order"])
def test_what_looks_like_several_clips_is_refused(bundle: Bundle, change: str) -> None:
    model = load_source(bundle.graph_path("encode_images"))
    pads = [node for node in model.graph if node.op_type == "Pad"]
    if change == "a pad across clips":
        pad = ir.Value(name="across", const_value=ir.tensor(np.array([1] + [0] * 9, np.int64)))
        model.graph.initializers.add(pad)
        pads[0].replace_input_with(1, pad)
    elif change == "pads of two kinds":
        pads[1].inputs[0].shape = ir.Shape([1, 4, *pads[1].inputs[0].shape[2:]])  # type: ignore[union-attr, index]
    else:
        back = next(use.node for node in model.graph if node.op_type == "Slice" for use in node.outputs[0].uses())
        back.outputs[0].shape = ir.Shape(list(back.outputs[0].shape)[::-1])  # type: ignore[arg-type]
    with pytest.raises(NotApplicable):
        apply(DEPTH[0], model)


def test_who_gets_it() -> None:
    for graph in (*GRAPHS, "encode_images_tiny"):
        assert [one.name for one in rewrites_for(graph, "tensorrt")] == ["frames_as_depth"]
    assert rewrites_for("encode_clip", "onnxruntime") == ()
    assert "frames_as_depth" not in [one.name for one in rewrites_for("student", "tensorrt")]
    assert all(isinstance(one, Rewrite) and one.why for one in DEPTH)


def test_the_same_bytes_each_time(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model = load_source(bundle.graph_path("encode_clip"))
        apply(DEPTH[0], model)
        (tmp_path / name).mkdir()
        save_derived(model, tmp_path / name / "graph.onnx")
    for file in ("graph.onnx", "graph.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
