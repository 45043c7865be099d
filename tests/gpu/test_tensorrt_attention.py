"""Attention in the TensorRT plug-in that $VSRT_PLUGIN names, built with that TensorRT's headers: a plan with it is right."""

from __future__ import annotations

import ctypes
import os
from typing import Any

import numpy as np
import pytest

from tests.gpu.test_attention import assert_right, random_feed
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.kernels.attention_plan import AttentionSizes

pytestmark = pytest.mark.gpu

NAME = "VideoSceneAttention"


@pytest.fixture(scope="module")
def trt(cuda: CudaDevice) -> Any:
    library = os.environ.get("VSRT_PLUGIN")
    if not library:
        pytest.skip("VSRT_PLUGIN names no plug-in")
    tensorrt = pytest.importorskip("tensorrt", reason="no TensorRT to load the plug-in into")
    ctypes.CDLL(f"libnvinfer.so.{tensorrt.__version__.split('.')[0]}", mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(library)
    return tensorrt


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
