"""Decoders whose upsampling is rewritten: frames convolved once, doubling as a transposed convolution; other graphs stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from tests.support.onnx_runs import distance, run_onnx
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive, derive_weak
from videoscene_rt.engines.precision.source import load_source, save_derived
from videoscene_rt.engines.rewrite import NotApplicable, Rewrite, apply, rewrites_for

REPEATS, SUBPIXEL = (
    Rewrite(name=name, version=1, graphs=("decode_*",), backends=("onnxruntime",), why="measured elsewhere")
    for name in ("repeats_after_convolution", "subpixel_upsampling")
)
CHUNKS = ("decode_first", "decode_next")
Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.fixture(scope="module")
def published(published_bundle: Path) -> Bundle:
    return Bundle.open(published_bundle)


@pytest.fixture(scope="module")
def tiny(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


def _feed(bundle: Bundle, graph: str) -> Arrays:
    rng = np.random.default_rng(7)
    return {one.name: rng.standard_normal(one.shape).astype(np.float32) for one in bundle.graph(graph).inputs}


def _both(bundle: Bundle, graph: str, rewrites: tuple[Rewrite, ...], out: Path) -> tuple[Arrays, Arrays]:
    derived = derive(bundle, graph, "fp32", None, out / "graph.onnx", rewrites=rewrites)
    assert derived.rewritten == tuple(one.name for one in rewrites)
    onnx.checker.check_model(str(derived.path), full_check=True)
    feed = _feed(bundle, graph)
    return run_onnx(derived.path, feed), run_onnx(bundle.graph_path(graph), feed)


@pytest.mark.parametrize("graph", CHUNKS)
def test_frames_convolved_once_are_the_same_bits(published: Bundle, graph: str, tmp_path: Path) -> None:
    found, expected = _both(published, graph, (REPEATS,), tmp_path)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("graph", "once"), [("decode_first", "3 for 5, 5 for 9"), ("decode_next", "2 for 4, 4 for 8")])
def test_the_first_frame_stands_alone(published: Bundle, graph: str, once: str) -> None:
    model = load_source(published.graph_path(graph))
    assert apply(REPEATS, model) == f"repeats after convolution: frames {once}"
    counts = [
        int(node.inputs[0].shape[0])  # type: ignore[index, union-attr, arg-type]
        for node in model.graph
        if node.op_type == "Conv" and ".upsamplers.0.conv/" in (node.name or "")
    ]
    assert counts == ([3, 5, 9] if graph == "decode_first" else [2, 4, 8])


@pytest.mark.parametrize("graph", CHUNKS)
def test_doubling_becomes_part_of_the_convolution(published: Bundle, graph: str, tmp_path: Path) -> None:
    found, expected = _both(published, graph, (REPEATS, SUBPIXEL), tmp_path)
    assert np.abs(found["frames"].astype(int) - expected["frames"]).max() <= 1
    for name in expected.keys() - {"frames"}:
        assert distance(found[name], expected[name]).relative_l2 < 2e-6, name
    nodes = load_source(tmp_path / "graph.onnx").graph
    upsamplers = [node for node in nodes if ".upsamplers." in (node.name or "")]
    assert [node.op_type for node in upsamplers].count("ConvTranspose") == 3
    assert not {"Conv", "Resize"} & {node.op_type for node in upsamplers}


@pytest.mark.parametrize("graph", ["decode_stream", "decode_clip"])
def test_the_tiny_decoders_too(tiny: Bundle, graph: str, tmp_path: Path) -> None:
    found, expected = _both(tiny, graph, (SUBPIXEL,), tmp_path)
    assert np.abs(found["frames"].astype(int) - expected["frames"]).max() <= 1
    for name in expected.keys() - {"frames"}:
        assert distance(found[name], expected[name]).relative_l2 < 2e-6, name
    assert "Resize" not in {node.op_type for node in load_source(tmp_path / "graph.onnx").graph}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (3, 2)])
def test_zeros_around_the_picture(height: int, width: int, tmp_path: Path) -> None:
    """Where every pixel is at a border, against NumPy."""
    path, weight, bias = _place(tmp_path, height, width)
    model = load_source(path)
    apply(SUBPIXEL, model)
    save_derived(model, tmp_path / "after.onnx")
    x = np.random.default_rng(2).standard_normal((2, 3, height, width)).astype(np.float32)
    large = np.pad(x.repeat(2, axis=2).repeat(2, axis=3).astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = bias[None, :, None, None] + sum(
        np.einsum("nihw,oi->nohw", large[:, :, a : a + 2 * height, b : b + 2 * width], weight[:, :, a, b])
        for a in range(3)
        for b in range(3)
    )
    assert np.abs(run_onnx(tmp_path / "after.onnx", {"x": x})["y"] - expected).max() < 1e-5


def _place(folder: Path, height: int, width: int, **changed: object) -> tuple[Path, np.ndarray, np.ndarray]:
    """Frames [2,3,h,w], doubled, then a convolution to 4 channels."""
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((4, 3, 3, 3)).astype(np.float32), rng.standard_normal(4).astype(np.float32)
    how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    stride = int(str(changed.get("stride", 1)))
    how.update({name: str(value) for name, value in changed.items() if name in how})
    scales = np.array([1, 1, 2, 2], np.float32)
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["large"], "up/Resize", **how),
        helper.make_node(
            "Conv", ["large", "w", "b"], ["y"], "up/Conv", pads=[1, 1, 1, 1], strides=[stride] * 2, kernel_shape=[3, 3]
        ),
    ]
    shapes = {"x": (2, 3, height, width), "y": (2, 4, 2 * height // stride, 2 * width // stride)}
    x, y = (helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    numbers = [numpy_helper.from_array(one, name) for name, one in (("scales", scales), ("w", weight), ("b", bias))]
    large = helper.make_tensor_value_info("large", 1, (2, 3, 2 * height, 2 * width))
    outputs = [y, large] if changed.get("read") else [y]
    graph = helper.make_graph(nodes, "place", [x], outputs, numbers, value_info=[] if changed.get("read") else [large])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "place.onnx")
    return folder / "place.onnx", weight, bias


@pytest.mark.parametrize("changed", [{"mode": "linear"}, {"stride": 2}, {"nearest_mode": "ceil"}, {"read": True}])
def test_what_looks_alike_is_refused(changed: dict[str, object], tmp_path: Path) -> None:
    path, _, _ = _place(tmp_path, 2, 4, **changed)
    with pytest.raises(NotApplicable):
        apply(SUBPIXEL, load_source(path))


@pytest.mark.parametrize("rewrite", [REPEATS, SUBPIXEL])
def test_graphs_without_upsampling_are_left_alone(
    published: Bundle, tiny: Bundle, rewrite: Rewrite, tmp_path: Path
) -> None:
    for bundle, graph in ((published, "encode_next"), (tiny, "encode_clip"), (tiny, "student")):
        derived = derive(bundle, graph, "fp32", None, tmp_path / "graph.onnx", rewrites=(rewrite,))
        assert derived.rewritten == ()
        assert derived.notes[0].startswith(f"not rewritten ({rewrite.name})")


@pytest.mark.parametrize("rewrite", [REPEATS, SUBPIXEL])
def test_a_value_that_must_stay_is_kept(published: Bundle, rewrite: Rewrite) -> None:
    model = load_source(published.graph_path("decode_next"))
    for node in model.graph:
        if node.op_type == "Resize" and ".upsamplers." in (node.name or ""):
            with pytest.raises(NotApplicable, match="must be kept"):
                apply(rewrite, load_source(published.graph_path("decode_next")), _all_resized(model))


def _all_resized(model: ir.Model) -> set[str]:
    return {node.outputs[0].name or "" for node in model.graph if node.op_type == "Resize"}


def test_fp16_and_names(published: Bundle, tmp_path: Path) -> None:
    """What convolves keeps its place in the recipe, and its values' names."""
    derived = derive(published, "decode_next", "fp16", None, tmp_path / "graph.onnx", rewrites=(REPEATS, SUBPIXEL))
    assert derived.rewritten == (REPEATS.name, SUBPIXEL.name)
    before, after = (load_source(path).graph for path in (published.graph_path("decode_next"), tmp_path / "graph.onnx"))
    convolved = {node.outputs[0].name for node in before if node.op_type == "Conv"}
    assert convolved <= {value.name for node in after for value in node.outputs}
    made = [node for node in after if node.op_type == "ConvTranspose"]
    assert {node.inputs[1].dtype for node in made} == {ir.DataType.FLOAT16}  # type: ignore[union-attr]
    feed = _feed(published, "decode_next")
    plain = derive(published, "decode_next", "fp16", None, tmp_path / "plain.onnx")
    exact = run_onnx(published.graph_path("decode_next"), feed)
    found, usual = (run_onnx(path, feed) for path in (derived.path, plain.path))
    for name in exact:
        limit = 1.5 * distance(usual[name], exact[name]).relative_l2 + 1e-5
        assert distance(found[name], exact[name]).relative_l2 < limit, name


def test_8_6_convolves_in_fp16(published: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    derived = derive_weak(published, "decode_first", "fp16", None, path, rewrites=(REPEATS, SUBPIXEL))
    assert ir.load(path).opset_imports[""] == 17
    named = [kind for name, kind in derived.layer_precisions.items() if name.endswith("/ConvTranspose")]
    assert named == ["fp16"] * 3


def test_onnx_runtime_alone_gets_them_on_the_cpu_where_they_were_measured() -> None:
    for graph in (*CHUNKS, "decode_stream", "decode_clip"):
        names = [one.name for one in rewrites_for(graph, "onnxruntime")]
        assert names == ([REPEATS.name] if graph in CHUNKS else []) + [SUBPIXEL.name], "repeats first: then all three"
        for backend in ("onnxruntime-cuda", "tensorrt", "tensorrt-rtx"):
            assert not {one.name for one in rewrites_for(graph, backend)} & {REPEATS.name, SUBPIXEL.name}


def test_the_same_bytes_each_time(published: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        derive(published, "decode_first", "fp32", None, tmp_path / name / "graph.onnx", rewrites=(REPEATS, SUBPIXEL))
    for file in ("graph.onnx", "graph.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
