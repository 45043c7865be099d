"""The published autoencoder derived in FP16 is valid for a strongly typed builder: TensorRT-RTX parses and builds it, without a GPU.

Every graph of the preset `tiny`, in every precision, is built in tests/engines/building/test_tiny.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision import derive

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

PUBLISHED_CASES = ("encode_images", "encode_first", "encode_next", "decode_first", "decode_next")


@pytest.fixture(scope="module")
def logger() -> Any:
    return trt.Logger(trt.Logger.ERROR)


@pytest.mark.parametrize("graph", PUBLISHED_CASES)
def test_the_published_autoencoder_builds(graph: str, logger: Any, published: Bundle, tmp_path: Path) -> None:
    derived = derive(published, graph, "fp16", None, tmp_path / "graph.onnx")
    halves = _build(derived.path, logger)
    assert halves == set(derived.half), "its caches, if it has some, and nothing else"
    assert bool(halves) == graph.endswith(("_first", "_next"))


def _build(path: Path, logger: Any) -> set[str]:
    """Build it; the inputs and outputs that are FP16 to the builder."""
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse_from_file(str(path))
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    assert builder.build_serialized_network(network, builder.create_builder_config()) is not None
    inputs = (network.get_input(index) for index in range(network.num_inputs))
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    return {tensor.name for tensor in (*inputs, *outputs) if tensor.dtype == trt.float16}
