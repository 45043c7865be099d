"""Clips: shapes, determinism, and that held-out ones stay held out."""

from __future__ import annotations

import numpy as np
import torch

from tests.export.distill.presets import TEENY
from videoscene_rt.export.distill.procedural import HELD_OUT, TRAINING, VALIDATION, ProceduralClips
from videoscene_rt.export.distill.world.layout import describe
from videoscene_rt.scenes.trajectory import between

SOURCE = ProceduralClips(TEENY)


def test_held_out_clips_are_never_trained_on() -> None:
    sets = [set(TRAINING), set(VALIDATION), set(HELD_OUT)]
    assert len(HELD_OUT) == 64
    assert all(a.isdisjoint(b) for i, a in enumerate(sets) for b in sets[i + 1 :])
    assert SOURCE.training_seeds() == TRAINING
    assert SOURCE.validation_seeds() == VALIDATION
    assert SOURCE.held_out_seeds() == HELD_OUT


def test_a_clip_is_a_function_of_its_number() -> None:
    one, again = SOURCE.clips([5]), SOURCE.clips([5])
    assert torch.equal(one.coarse, again.coarse)
    assert torch.equal(one.clean, again.clean)
    beside = SOURCE.clips([8, 5])
    # In another batch the same rays are summed in another order: a level here and there may round the other way.
    assert float((beside.clean[1].float() - one.clean[0].float()).abs().mean()) < 0.05
    assert float((beside.holes[1] != one.holes[0]).float().mean()) < 0.01
    assert not torch.equal(beside.clean[0], one.clean[0])


def test_what_a_clip_is() -> None:
    clips = SOURCE.clips([3, 4])
    assert clips.coarse.shape == clips.clean.shape == (2, 9, 32, 48, 3)
    assert clips.coarse.dtype == clips.clean.dtype == clips.images.dtype == clips.holes.dtype == torch.uint8
    assert torch.equal(clips.images, clips.clean[:, [0, -1]])
    assert clips.holes.unique().tolist() == [0, 1]
    background = torch.tensor(TEENY.renderer.background, dtype=torch.uint8)
    assert bool((clips.coarse[clips.holes.bool()] == background).all())
    # Where there is a point its colour is about the clean one's; holes are far off.
    error = (clips.coarse.float() - clips.clean.float()).abs().mean(-1)
    assert float(error[clips.holes == 0].mean()) < 25
    assert len(clips) == 2
    assert [len(group) for group in clips.groups(1)] == [1, 1]


def test_variants_are_other_clouds_before_the_same_scene() -> None:
    first, second = SOURCE.variants([6], 2)
    assert torch.equal(first.clean, second.clean)
    assert not torch.equal(first.holes, second.holes)
    assert torch.equal(second.coarse, SOURCE.clips([6], variant=1).coarse)


def test_the_cameras_follow_the_runtimes_path() -> None:
    viewpoints = describe(9).viewpoints
    path = SOURCE._path(viewpoints)
    expected = between(viewpoints.world_to_camera.astype(np.float32), path.intrinsics[[0, -1]], TEENY.frames)
    assert np.array_equal(path.world_to_camera, expected.world_to_camera)
    assert np.array_equal(path.intrinsics, expected.intrinsics)
    assert path.intrinsics[0, 0, 2] == (TEENY.width - 1) / 2
