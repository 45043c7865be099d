"""The TensorRT plug-in that $VSRT_PLUGIN names, built with that TensorRT's headers: a plan with it draws the z-buffer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.engines.kernels.feeds import INPUTS, OUTPUTS, Sizes, assert_same, expected, random_feed, renderer_signature
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.plugin import Plugin

pytestmark = pytest.mark.gpu

SIZES = Sizes(5, 24, 40, 3000)
AS_VALUES = ("rgb", "frames", "hole_mask")
"""Bytes, which TensorRT gives plug-ins as float32."""


@pytest.fixture(scope="module")
def trt(plugin: Plugin) -> Any:
    return pytest.importorskip("tensorrt")


def plan(trt: Any, radius: int) -> Any:
    old = int(trt.__version__.split(".")[0]) < 10
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH) if old else 0)
    kinds = {"float32": trt.float32, "int32": trt.int32, "uint8": trt.float32}
    spec = renderer_signature(SIZES)
    inputs = [network.add_input(tensor.name, kinds[tensor.dtype], tensor.shape) for tensor in spec.inputs]
    canvas = SIZES.canvas(radius)
    whole, real = trt.PluginFieldType.INT32, trt.PluginFieldType.FLOAT32
    values = {
        "height": (np.array([SIZES.height], np.int32), whole),
        "width": (np.array([SIZES.width], np.int32), whole),
        "radius": (np.array([radius], np.int32), whole),
        "near": (np.array([canvas.near], np.float32), real),
        "background": (np.array(canvas.background, np.int32), whole),
    }
    fields = trt.PluginFieldCollection([trt.PluginField(name, *value) for name, value in values.items()])
    registry = trt.get_plugin_registry()
    config = builder.create_builder_config()
    if old:
        config.set_tactic_sources(0)
        creator = registry.get_plugin_creator("VideoSceneRenderer", "1", "")
        assert creator is not None
        layer = network.add_plugin_v2(inputs, creator.create_plugin("renderer", fields))
    else:
        creator = registry.get_creator("VideoSceneRenderer", "1", "")
        assert creator is not None
        plugin = creator.create_plugin("renderer", fields, trt.TensorRTPhase.BUILD)
        layer = network.add_plugin_v3(inputs, [], plugin)
    for number, tensor in enumerate(spec.outputs):
        output = layer.get_output(number)
        output.name = tensor.name
        network.mark_output(output)
    serialized = builder.build_serialized_network(network, config)
    assert serialized is not None, "TensorRT refuses the plug-in; its log says why"
    engine = trt.Runtime(logger).deserialize_cuda_engine(serialized)
    assert engine is not None
    return engine


@pytest.mark.parametrize("radius", [0, 1, 2])
def test_a_plan_with_the_plug_in_draws_the_z_buffer(trt: Any, cuda: CudaDevice, radius: int) -> None:
    engine = plan(trt, radius)
    context = engine.create_execution_context()
    memory = {}
    spec = renderer_signature(SIZES)
    for tensor in (*spec.inputs, *spec.outputs):
        memory[tensor.name] = cuda.allocate("float32" if tensor.name in AS_VALUES else tensor.dtype, tensor.shape)
        assert tuple(engine.get_tensor_shape(tensor.name)) == tensor.shape
        assert context.set_tensor_address(tensor.name, memory[tensor.name].pointer)
    for seed in range(3):
        feed = random_feed(SIZES, seed)
        for name in INPUTS:
            memory[name].write(feed[name])
        assert context.execute_async_v3(cuda.stream_handle)
        cuda.synchronize()
        found = {name: memory[name].read() for name in OUTPUTS}
        for name in ("frames", "hole_mask"):
            assert np.array_equal(found[name], found[name].astype(np.uint8)), "whole numbers from 0 to 255"
            found[name] = found[name].astype(np.uint8)
        assert_same([found[name] for name in OUTPUTS], expected(feed, SIZES.canvas(radius)), f"seed {seed}")
