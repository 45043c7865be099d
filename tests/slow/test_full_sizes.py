"""What takes minutes or gigabytes: real sizes, run by `make test-slow`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from tests.support.data import garden_cloud
from tests.support.scenes import scene
from tests.support.zbuffer import Canvas, Cloud, draw_sorted
from videoscene_rt import Pipeline
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.renderer import Renderer
from videoscene_rt.scenes.trajectory import between

pytestmark = pytest.mark.slow

INPUTS = ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")
OUTPUTS = ("frames", "depth", "hole_mask")


def exported(preset: Preset, folder: Path) -> Path:
    """A bundle of a preset, every figure of it within its limit."""
    out = folder / f"{preset.name}.bundle"
    manifest = export_bundle(ExportRequest(preset, out))
    for graph in manifest.graphs.values():
        assert max(graph.parity.relative_l2.values()) <= graph.parity.limit <= 1e-4, graph.name
    assert max(manifest.chain_parity.relative_l2.values()) <= 1e-4
    return out


def test_edge_is_exported_and_steps(tmp_path: Path) -> None:
    bundle = exported(load_preset("edge"), tmp_path)
    with Pipeline.load(bundle) as pipeline:
        result = pipeline.step(scene(points=100_000, height=256, width=256))
        assert result.status == "ok"
        assert result.frames.shape == (17, 256, 256, 3)
        assert result.timestep in Bundle.open(bundle).manifest.policy.timesteps


def test_the_published_autoencoder_at_its_full_widths(tmp_path: Path) -> None:
    """216 million parameters on 17 frames of 32×48, in chunks, against diffusers (docs/parity.md has 96×144)."""
    records = Path(__file__).resolve().parents[2] / "docs" / "records" / "parity"
    preset = load_preset(str(records / "published-autoencoder.preset.json"))
    preset = preset.model_copy(update={"height": 32, "width": 48})
    bundle = exported(preset, tmp_path)
    with Pipeline.load(bundle) as pipeline:
        assert pipeline.step(scene()).status == "ok"


def test_the_renderer_at_the_published_size_is_the_z_buffer(tmp_path: Path) -> None:
    """49 frames of 480×720 of the Mip-NeRF 360 garden on a path between its cameras: every bit of three of them."""
    garden = garden_cloud()
    preset = load_preset("videoscene-5b")
    scale = max(preset.height / garden.height, preset.width / garden.width)
    cameras = garden.intrinsics[:2].astype(np.float32)
    cameras[:, :2] *= np.float32(scale)
    path = between(garden.world_to_camera[:2].astype(np.float32), cameras, preset.frames)
    count = len(garden.xyz)
    xyz, rgb = np.zeros((preset.max_points, 3), np.float32), np.zeros((preset.max_points, 3), np.uint8)
    xyz[:count], rgb[:count] = garden.xyz, garden.rgb
    feed = dict(zip(INPUTS, (xyz, rgb, np.array([count], np.int32), *path), strict=True))
    file = tmp_path / "renderer.onnx"
    torch.onnx.export(
        Renderer.from_preset(preset).eval(),
        tuple(torch.from_numpy(feed[name]) for name in INPUTS),
        file,
        dynamo=True,
        opset_version=18,
        input_names=INPUTS,
        output_names=OUTPUTS,
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    found = session.run(OUTPUTS, feed)
    settings = preset.renderer
    canvas = Canvas(preset.height, preset.width, settings.radius, settings.near, settings.background)
    cloud = Cloud(xyz, rgb, count)
    for frame in (0, 24, 48):
        expected = draw_sorted(cloud, path.world_to_camera[frame], path.intrinsics[frame], canvas)
        for name, ours, theirs in zip(OUTPUTS, found, expected, strict=True):
            assert np.array_equal(ours[frame], theirs), (name, frame)
        assert 0.05 < 1 - expected[2].mean() < 1, "the garden is in view"
