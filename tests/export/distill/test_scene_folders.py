"""Clips from the user's own scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.distill.presets import TEENY
from tests.support.scenes import scene
from videoscene_rt import InputError
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.export.distill.scene_folders import CLEAN, FolderClips
from videoscene_rt.export.renderer import Renderer
from videoscene_rt.scenes.images import write_png
from videoscene_rt.scenes.scene_folder import save_scene


def write_folder(folder: Path, count: int) -> None:
    """Scenes of random points with as many random clean frames as the preset has, twice its size."""
    for number in range(count):
        save_scene(scene(height=64, width=96, seed=number), folder / f"scene-{number:02d}")
        clean = folder / f"scene-{number:02d}" / CLEAN
        clean.mkdir()
        for frame in range(TEENY.frames):
            rng = np.random.default_rng(100 * number + frame)
            write_png(clean / f"{frame:03d}.png", rng.integers(0, 256, (64, 96, 3), dtype=np.uint8))


def test_a_folder_of_scenes_is_a_source_of_clips(tmp_path: Path) -> None:
    write_folder(tmp_path, 20)
    source = FolderClips(tmp_path, TEENY)
    seeds = [list(part) for part in (source.training_seeds(), source.validation_seeds(), source.held_out_seeds())]
    assert [len(part) for part in seeds] == [16, 2, 2]
    assert sorted(seeds[0] + seeds[1] + seeds[2]) == list(range(20))

    clips = source.clips([3, 4])
    assert clips.clean.shape == (2, 9, 32, 48, 3)
    inputs = scene_inputs(scene(height=64, width=96, seed=3), TEENY)  # as the runtime takes the same scene
    renderer = Renderer(9, 32, 48, len(inputs["xyz"]), TEENY.renderer)
    names = ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")
    frames, _, holes = renderer(*(torch.from_numpy(inputs[name]) for name in names))
    assert torch.equal(clips.coarse[0], frames)
    assert torch.equal(clips.holes[0], holes)
    assert torch.equal(clips.images[0], torch.from_numpy(inputs["images"]))
    thinner = source.clips([3], variant=1)
    assert int(thinner.holes.sum()) > int(clips.holes[0].sum())
    assert torch.equal(thinner.clean[0], clips.clean[0])


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 0 scene folders"):
        FolderClips(tmp_path, TEENY)
    write_folder(tmp_path, 10)
    (tmp_path / "scene-02" / CLEAN / "003.png").unlink()
    with pytest.raises(InputError, match=r"scene-02/clean has 8 frames\npreset teeny needs exactly 9"):
        FolderClips(tmp_path, TEENY).clips([2])
    write_png(tmp_path / "scene-02" / CLEAN / "003.png", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(InputError, match="48×32 px; the scene's first image is 96×64"):
        FolderClips(tmp_path, TEENY).clips([2])
