"""Clips from procedural scenes: the built-in source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.clips import Clips
from videoscene_rt.export.distill.cloud import Clouds, measure
from videoscene_rt.export.distill.sensors import draw_sensor
from videoscene_rt.export.distill.world.batch import World, pack
from videoscene_rt.export.distill.world.description import Viewpoints
from videoscene_rt.export.distill.world.film import photograph
from videoscene_rt.export.distill.world.layout import describe
from videoscene_rt.export.renderer import Renderer
from videoscene_rt.scenes.scene import Scene
from videoscene_rt.scenes.trajectory import CameraPath, between

TRAINING = range(1_000_000)
HELD_OUT = range(1_000_000, 1_000_064)
VALIDATION = range(2_000_000, 2_001_000)
"""Not trained on either: what training looks at."""


class ProceduralClips:
    """Scenes made by arithmetic, at a preset's size.

    Args:
        preset: frames, height, width and the renderer's settings.
        device: where rays are cast and points are drawn.
    """

    def __init__(self, preset: Preset, device: torch.device | str = "cpu") -> None:
        self.preset, self.device = preset, torch.device(device)

    def training_seeds(self) -> range:
        """See `ClipSource`."""
        return TRAINING

    def validation_seeds(self) -> range:
        """See `ClipSource`."""
        return VALIDATION

    def held_out_seeds(self) -> range:
        """See `ClipSource`."""
        return HELD_OUT

    def clips(self, seeds: Sequence[int], variant: int = 0) -> Clips:
        """See `ClipSource`."""
        clean, (world, poses, cameras) = self._clean(seeds)
        coarse, holes = self._coarse(seeds, variant, world, poses, cameras)
        return Clips(coarse, holes, clean, clean[:, [0, -1]])

    def variants(self, seeds: Sequence[int], count: int) -> list[Clips]:
        """Variants 0 … count − 1 of the clips; they share their clean frames, which cost most."""
        clean, (world, poses, cameras) = self._clean(seeds)
        images = clean[:, [0, -1]]
        coarse = [self._coarse(seeds, variant, world, poses, cameras) for variant in range(count)]
        return [Clips(frames, holes, clean, images) for frames, holes in coarse]

    def clouds(self, seeds: Sequence[int], variant: int = 0) -> Clouds:
        """The clouds alone, before they are rendered."""
        world, poses, cameras = self._scenes(seeds)
        return self._measured(seeds, variant, world, poses, cameras)

    def scenes(self, seeds: Sequence[int], variant: int = 0) -> list[tuple[Scene, Tensor]]:
        """The clips as the runtime is given them: two photographs, a cloud and two cameras, without the points
        that were lost; each with its clean frames uint8[F,H,W,3]."""
        clean, (world, poses, cameras) = self._clean(seeds)
        clouds = self._measured(seeds, variant, world, poses, cameras)
        ends = [0, -1]
        found = []
        for row in range(len(seeds)):
            there = clouds.xyz[row].isfinite().all(-1)
            xyz, rgb, images, views, lenses = (
                part.cpu().numpy()
                for part in (
                    clouds.xyz[row][there],
                    clouds.rgb[row][there],
                    clean[row, ends],
                    poses[row, ends],
                    cameras[row, ends],
                )
            )
            found.append((Scene(images, xyz, rgb, lenses, views), clean[row].cpu()))
        return found

    def _scenes(self, seeds: Sequence[int]) -> tuple[World, Tensor, Tensor]:
        """The packed scenes, world_to_camera [B,F,4,4] and intrinsics [B,F,3,3]."""
        scenes = [describe(seed) for seed in seeds]
        paths = [self._path(scene.viewpoints) for scene in scenes]
        poses = torch.from_numpy(np.stack([path.world_to_camera for path in paths])).to(self.device)
        cameras = torch.from_numpy(np.stack([path.intrinsics for path in paths])).to(self.device)
        return pack(scenes, self.device), poses, cameras

    def _path(self, viewpoints: Viewpoints) -> CameraPath:
        height, width = self.preset.height, self.preset.width
        cameras = np.tile(np.eye(3), (2, 1, 1))
        cameras[:, 0, 0] = cameras[:, 1, 1] = viewpoints.focal * width
        cameras[:, 0, 2], cameras[:, 1, 2] = (width - 1) / 2, (height - 1) / 2
        ends = viewpoints.world_to_camera.astype(np.float32)
        return between(ends, cameras.astype(np.float32), self.preset.frames)

    def _clean(self, seeds: Sequence[int]) -> tuple[Tensor, tuple[World, Tensor, Tensor]]:
        world, poses, cameras = self._scenes(seeds)
        height, width = self.preset.height, self.preset.width
        frames = [photograph(world, poses[:, i], cameras[:, i], height, width) for i in range(self.preset.frames)]
        return torch.stack(frames, dim=1), (world, poses, cameras)

    def _measured(self, seeds: Sequence[int], variant: int, world: World, poses: Tensor, cameras: Tensor) -> Clouds:
        sensors = [draw_sensor(seed, variant) for seed in seeds]
        ends = poses[:, [0, -1]], cameras[:, [0, -1]]
        return measure(world, sensors, *ends, self.preset.height, self.preset.width)

    def _coarse(
        self, seeds: Sequence[int], variant: int, world: World, poses: Tensor, cameras: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The clouds through the project's renderer: frames and holes. Points that were lost are NaN, which it drops."""
        clouds = self._measured(seeds, variant, world, poses, cameras)
        points = clouds.xyz.shape[1]
        preset = self.preset
        renderer = Renderer(preset.frames, preset.height, preset.width, points, preset.renderer).to(self.device)
        count = torch.tensor([points], dtype=torch.int32, device=self.device)
        drawn = [
            renderer(xyz, rgb, count, pose, camera)
            for xyz, rgb, pose, camera in zip(clouds.xyz, clouds.rgb, poses, cameras, strict=True)
        ]
        return torch.stack([frames for frames, _, _ in drawn]), torch.stack([holes for _, _, holes in drawn])
