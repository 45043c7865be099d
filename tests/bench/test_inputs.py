"""Seeded inputs: valid, the same every time, and such that every graph has something to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.zbuffer import Canvas, Cloud, draw_sorted
from videoscene_rt.bench.inputs import poison, rms, seeded_inputs, specs_sha256
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError


def test_they_fit_the_specification_and_repeat(small_bundle: Path, published_bundle: Path) -> None:
    for folder in (small_bundle, published_bundle):
        manifest = Bundle.open(folder).manifest
        for graph, spec in manifest.graphs.items():
            first, again, other = (seeded_inputs(manifest, graph, seed) for seed in (0, 0, 1))
            assert [(name, str(a.dtype), a.shape) for name, a in first.items()] == [
                (tensor.name, tensor.dtype, tensor.shape) for tensor in spec.inputs
            ]
            assert all(np.array_equal(first[name], again[name]) for name in first)
            assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_the_renderer_has_points_to_draw_and_points_to_drop(small_bundle: Path) -> None:
    preset = Bundle.open(small_bundle).manifest.preset
    view = seeded_inputs(Bundle.open(small_bundle).manifest, "renderer", 0)
    poses = view["world_to_camera"].astype(np.float64)
    rotations = poses[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (preset.frames, 1, 1)), atol=1e-6
    )
    used = int(view["num_points"][0])
    assert 0 < used < len(view["xyz"])
    canvas = Canvas(preset.height, preset.width, preset.renderer.radius, preset.renderer.near)
    for pose, camera in zip(view["world_to_camera"], view["intrinsics"], strict=True):
        _, _, holes = draw_sorted(Cloud(view["xyz"], view["rgb"], used), pose, camera, canvas)
        assert holes.mean() < 0.5
        depth = (view["xyz"][:used] @ pose[:3, :3].T + pose[:3, 3])[:, 2]
        assert 0.02 < (depth <= preset.renderer.near).mean() < 0.5


def test_the_timestep_is_a_candidate(small_bundle: Path) -> None:
    manifest = Bundle.open(small_bundle).manifest
    assert seeded_inputs(manifest, "student", 0)["timestep"][0] in manifest.policy.timesteps


def test_recorded_values_take_their_place(small_bundle: Path) -> None:
    manifest = Bundle.open(small_bundle).manifest
    shape = manifest.preset.latent_shape
    given = np.full(shape, 7, np.float32)
    assert (seeded_inputs(manifest, "policy", 0, {"z_r": given})["z_r"] == 7).all()
    for wrong in ({"z_r": given.astype(np.float64)}, {"z_r": given[..., 1:]}, {"nothing": given}):
        with pytest.raises(InputError, match="takes no"):
            seeded_inputs(manifest, "policy", 0, wrong)


def test_every_graph_has_a_digest_of_its_own(small_bundle: Path) -> None:
    graphs = Bundle.open(small_bundle).manifest.graphs
    assert len({specs_sha256(spec) for spec in graphs.values()}) == len(graphs)


def test_rms_and_poison(small_bundle: Path) -> None:
    assert rms(np.array([3, 4], np.uint8)) == pytest.approx(np.sqrt(12.5))
    assert rms(np.array([1, np.nan])) is None
    spec = Bundle.open(small_bundle).graph("renderer")
    assert np.isnan(poison(spec.output("depth"))).all()
    assert (poison(spec.output("frames")) == 0x5A).all()
