"""The student's learned positions for fewer frames or a smaller picture than they were learned at.

Each position has a place in time and in the picture; a smaller video takes the first frames' and the middle of the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.embeddings import CogVideoXPatchEmbed, get_3d_sincos_pos_embed

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import PATCH, SPATIAL_COMPRESSION, Preset
from videoscene_rt.export.tensor_source import TensorSource

NAME = "patch_embed.pos_embedding"
Grid = tuple[int, int, int]
"""Latent frames, rows and columns of patches."""


def grid_of(preset: Preset) -> Grid:
    """The places of a preset's video tokens."""
    step = SPATIAL_COMPRESSION * PATCH
    return preset.latent_frames, preset.height // step, preset.width // step


def check_fits(learned: Preset, wanted: Preset) -> None:
    """Raises InputError where a preset has more frames, rows or columns than positions were learned for."""
    if any(want > have for want, have in zip(grid_of(wanted), grid_of(learned), strict=True)):
        raise InputError(
            f"the checkpoint has learned positions for {learned.frames} frames of {learned.height}×{learned.width}; "
            f"{wanted.frames} frames of {wanted.height}×{wanted.width} have none",
            "choose no more frames, rows or columns than the checkpoint's",
        )


def cut(positions: torch.Tensor, learned: Grid, wanted: Grid) -> torch.Tensor:
    """Keep the text's positions, the first frames, and the middle of each.

    Args:
        positions: [1, texts + T·rows·columns, width].
        learned: T, rows, columns.
        wanted: no more of each.

    Returns:
        [1, texts + T'·rows'·columns', width].
    """
    if learned == wanted:
        return positions
    (frames, rows, columns), (have, high, wide) = wanted, learned
    texts = positions.shape[1] - have * high * wide
    top, left = (high - rows) // 2, (wide - columns) // 2
    video = positions[:, texts:].unflatten(1, learned)
    kept = video[:, :frames, top : top + rows, left : left + columns].flatten(1, 3)
    return torch.cat((positions[:, :texts], kept), dim=1)


def initial_positions(embedding: CogVideoXPatchEmbed) -> torch.Tensor:
    """What diffusers starts learned positions with: zeros for the text, sines and cosines for the video, here frame by frame.

    Made at once they are in float64, and take gigabytes at the published size.

    Args:
        embedding: diffusers' own, on any device.

    Returns:
        float32[1, texts + T·rows·columns, width].
    """
    rows, columns = embedding.sample_height // embedding.patch_size, embedding.sample_width // embedding.patch_size
    frames = (embedding.sample_frames - 1) // embedding.temporal_compression_ratio + 1
    width, texts, scales = (
        embedding.embed_dim,
        embedding.max_text_seq_length,
        (embedding.spatial_interpolation_scale, embedding.temporal_interpolation_scale),
    )
    device = torch.device("cpu")
    picture = get_3d_sincos_pos_embed(width, (columns, rows), 1, *scales, device=device)[0]
    time = get_3d_sincos_pos_embed(width, (1, 1), frames, *scales, device=device)[:, :, : width // 4]
    positions = torch.zeros(1, texts + frames * rows * columns, width, device=device)
    for frame, place in enumerate(positions[0, texts:].split(rows * columns)):
        place[:, : width // 4] = time[frame]
        place[:, width // 4 :] = picture[:, width // 4 :]
    return positions


@dataclass(frozen=True)
class CutPositions:
    """A student's tensors with its learned positions cut.

    Attributes:
        source: the student's.
        learned: the grid that they were learned for.
        wanted: the grid to cut them to.
    """

    source: TensorSource
    learned: Grid
    wanted: Grid

    @property
    def dtype(self) -> str:
        """See `TensorSource.dtype`."""
        return self.source.dtype

    def read(self, name: str) -> torch.Tensor:
        """See `TensorSource.read`."""
        tensor = self.source.read(name)
        return cut(tensor, self.learned, self.wanted) if name == NAME else tensor
