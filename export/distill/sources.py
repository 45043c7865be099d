"""Which clips a run learns from."""

from __future__ import annotations

from pathlib import Path

import torch

from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.clips import ClipSource
from videoscene_rt.export.distill.procedural import ProceduralClips
from videoscene_rt.export.distill.scene_folders import FolderClips


def open_source(folder: Path | None, preset: Preset, device: torch.device) -> ClipSource:
    """The user's scenes in a folder, or procedural ones where none is named."""
    return ProceduralClips(preset, device) if folder is None else FolderClips(folder, preset, device)
