"""Clips from the user's own scenes: folders with scene.json (docs/scene-format.md) and the clean frames beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.clips import Clips, joined
from videoscene_rt.export.renderer import Renderer
from videoscene_rt.scenes.clouds import thin
from videoscene_rt.scenes.fit import FittedScene, cover, fit
from videoscene_rt.scenes.images import read_image
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.scenes.trajectory import camera_path

CLEAN = "clean"
"""The folder of a scene's clean frames: as many as the preset has, in the order of their names, of the first image's size."""
_HELD_OUT_SHARE = 10
_VARIANT_SHARES = (1.0, 0.5, 0.25, 0.125)
"""How much of the cloud each variant keeps: one cloud stands for denser and sparser ones."""


class FolderClips:
    """Scenes of a folder. Of ten in the order of their names, the ninth is for validation and the tenth is held out.

    Args:
        folder: holds scene folders.
        preset: frames, sizes and the renderer's settings; larger clouds than its max_points are thinned.
        device: where clouds are drawn.

    Raises:
        InputError: there are fewer than ten scene folders.
    """

    def __init__(self, folder: Path, preset: Preset, device: torch.device | str = "cpu") -> None:
        self.preset, self.device = preset, torch.device(device)
        self.folders = sorted(path.parent for path in folder.glob("*/scene.json"))
        if len(self.folders) < _HELD_OUT_SHARE:
            raise InputError(
                f"{folder} has {len(self.folders)} scene folders", f"give at least {_HELD_OUT_SHARE} (docs/distill.md)"
            )

    def training_seeds(self) -> list[int]:
        """See `ClipSource`; a number is a folder's place in the order of names."""
        last = _HELD_OUT_SHARE - 2
        return [number for number in range(len(self.folders)) if number % _HELD_OUT_SHARE < last]

    def validation_seeds(self) -> list[int]:
        """See `ClipSource`."""
        return list(range(_HELD_OUT_SHARE - 2, len(self.folders), _HELD_OUT_SHARE))

    def held_out_seeds(self) -> list[int]:
        """See `ClipSource`."""
        return list(range(_HELD_OUT_SHARE - 1, len(self.folders), _HELD_OUT_SHARE))

    def clips(self, seeds: Sequence[int], variant: int = 0) -> Clips:
        """See `ClipSource`; a variant thins the cloud."""
        share = _VARIANT_SHARES[variant % len(_VARIANT_SHARES)]
        return joined([self._clip(self.folders[seed], share) for seed in seeds])

    def _clip(self, folder: Path, share: float) -> Clips:
        scene = Scene.load(folder)
        fitted = fit(scene, self.preset.height, self.preset.width)
        coarse, holes = rendered(fitted, self.preset, self.device, share)
        clean = torch.from_numpy(_clean(folder / CLEAN, scene, self.preset)).to(self.device)
        images = torch.from_numpy(fitted.images).to(self.device)
        return Clips(coarse[None], holes[None], clean[None], images[None])


def rendered(fitted: FittedScene, preset: Preset, device: torch.device, share: float = 1.0) -> tuple[Tensor, Tensor]:
    """A fitted scene's coarse frames uint8[F,H,W,3] and holes uint8[F,H,W]; of its cloud a share is kept, evenly."""
    most = max(1, min(preset.max_points, round(share * len(fitted.xyz))))
    xyz, rgb = thin(fitted.xyz, fitted.rgb, most)
    path = camera_path(fitted, preset.frames)
    renderer = Renderer(preset.frames, preset.height, preset.width, len(xyz), preset.renderer).to(device)
    arrays = (xyz, rgb, np.array([len(xyz)], np.int32), path.world_to_camera, path.intrinsics)
    frames, _, holes = renderer(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in arrays))
    return frames, holes


def _clean(folder: Path, scene: Scene, preset: Preset) -> np.ndarray:
    paths = sorted(path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
    if len(paths) != preset.frames:
        raise InputError(f"{folder} has {len(paths)} frames", f"preset {preset.name} needs exactly {preset.frames}")
    frames = []
    for path in paths:
        image = read_image(path)
        if image.shape[:2] != (scene.height, scene.width):
            raise InputError(
                f"{path} is {image.shape[1]}×{image.shape[0]} px; the scene's first image is {scene.width}×{scene.height}"
            )
        frames.append(cover(image, scene.intrinsics[0], preset.height, preset.width)[0])
    return np.stack(frames)
