"""Attention in the TensorRT plug-in that $VSRT_PLUGIN names, built with that TensorRT's headers: plans with it are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.test_attention import assert_right, random_feed
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.kernels.attention_plan import AttentionSizes
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.engines.plugin import Plugin
from videoscene_rt.engines.precision import derive, derive_weak
from videoscene_rt.engines.rewrite import rewrites_for
from videoscene_rt.engines.tensorrt.capabilities import open_package
from videoscene_rt.engines.tensorrt.engine import TensorRtBackend
from videoscene_rt.engines.tensorrt.request import PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan

pytestmark = pytest.mark.gpu

NAME = "VideoSceneAttention"


@pytest.fixture(scope="module")
def trt(plugin: Plugin) -> Any:
    return pytest.importorskip("tensorrt")


def plan(trt: Any, sizes: AttentionSizes) -> Any:
    old = int(trt.__version__.split(".")[0]) < 10
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if old else 0)
    tokens = {"query": sizes.queries, "key": sizes.keys, "value": sizes.keys}
    inputs = [network.add_input(name, trt.float16, sizes.shape(count)) for name, count in tokens.items()]
    together = np.array([sizes.layout == "together"], np.int32)
    values = [
        trt.PluginField("together", together, trt.PluginFieldType.INT32),
        trt.PluginField("scale", np.array([sizes.scale], np.float32), trt.PluginFieldType.FLOAT32),
    ]
    fields = trt.PluginFieldCollection(values)
    registry = trt.get_plugin_registry()
    config = builder.create_builder_config()
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.FP16)
    if old:
        config.set_tactic_sources(0)
        plugin = registry.get_plugin_creator(NAME, "1", "").create_plugin("attention", fields)
        layer = network.add_plugin_v2(inputs, plugin)
    else:
        creator = registry.get_creator(NAME, "1", "")
        layer = network.add_plugin_v3(inputs, [], creator.create_plugin("attention", fields, trt.TensorRTPhase.BUILD))
    output = layer.get_output(0)
    output.name, output.dtype = "out", trt.float16
    network.mark_output(output)
    serialized = builder.build_serialized_network(network, config)
    assert serialized is not None, "TensorRT refuses the plug-in; its log says why"
    engine = trt.Runtime(logger).deserialize_cuda_engine(serialized)
    assert engine is not None
    return engine


@pytest.mark.parametrize("layout", ["apart", "together"])
@pytest.mark.parametrize(("queries", "keys"), [(129, 129), (70, 1000)])
def test_a_plan_with_the_plug_in_attends(trt: Any, cuda: CudaDevice, queries: int, keys: int, layout: str) -> None:
    sizes = AttentionSizes(1, 3, queries, keys, layout)  # type: ignore[arg-type]
    context = plan(trt, sizes).create_execution_context()
    feed = random_feed(sizes, keys)
    memory = {name: cuda.allocate("float16", array.shape) for name, array in feed.items()}
    memory["out"] = cuda.allocate("float16", sizes.shape(queries))
    for name, array in feed.items():
        memory[name].write(array)
    for name, place in memory.items():
        assert context.set_tensor_address(name, place.pointer)
    assert context.execute_async_v3(cuda.stream_handle)
    cuda.synchronize()
    assert_right(memory["out"].read(), feed, sizes)


@pytest.mark.parametrize("level", [1, 3])
def test_a_students_plan_attends_with_it(
    plugin: Plugin, cuda: CudaDevice, bundle: Bundle, tmp_path: Path, level: int
) -> None:
    """As `vsrt build --plugin` makes it, but for the scenes: the graph rewritten, the builder's process with the library, the plan run."""
    pytest.importorskip("onnx_ir", reason="no ONNX to derive a graph with")
    _, can = open_package("tensorrt")
    make, path = derive if can.strongly_typed else derive_weak, tmp_path / "student.onnx"
    rewrites = rewrites_for("student", "tensorrt", plugin=True)
    derived = make(bundle, "student", "fp16", None, path, rewrites=rewrites)
    if "attention_as_plugin" not in derived.rewritten:
        pytest.skip(f"{bundle.folder.name}: {derived.notes[-1]}")
    request = PlanRequest(
        path,
        tmp_path / "plan",
        "tensorrt",
        "fp16",
        layer_precisions=derived.layer_precisions,
        level=level,
        plugin=plugin,
    )
    result = build_plan(request)
    assert len(result.tried) == 1
    spec, noise = bundle.graph("student"), np.random.default_rng(0)
    feed: dict[str, Any] = {tensor.name: noise.standard_normal(tensor.shape, np.float32) for tensor in spec.inputs}
    for tensor in spec.inputs:
        if tensor.dtype == "int32":
            feed[tensor.name] = np.full(tensor.shape, bundle.manifest.policy.timesteps[0], np.int32)
    backend, reference = TensorRtBackend("tensorrt", {"student": request.out}, cuda), OnnxRuntimeBackend()
    found = caller(backend, backend.load(bundle, "student"))(feed)
    expected = caller(reference, reference.load(bundle, "student"))(feed)
    for name, right in expected.items():
        assert np.isfinite(found[name]).all()
        assert np.linalg.norm(found[name] - right) <= 0.02 * np.linalg.norm(right)
