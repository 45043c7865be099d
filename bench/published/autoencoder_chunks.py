"""The published autoencoder as it is exported: one call a chunk, its caches given and taken, convolutions in the layout that they like."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.bench.published.autoencoder import SIGMA, published_run, published_sizes, stage_inputs
from videoscene_rt.bench.published.built import Built
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.modes import DTYPES, compiled
from videoscene_rt.bench.published.weights import Draw, lay_out, made, twin
from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder, cogvideox_cache_layouts
from videoscene_rt.export.cogvideox_autoencoder_graphs import cogvideox_autoencoder_graphs


class HalfCast(nn.Module):
    """An encoder or decoder in half precision between float32 videos; its caches stay as they are.

    Args:
        inner: diffusers' module. dtype: its weights'.
    """

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = inner
        self.dtype = dtype

    def forward(self, video: Tensor, conv_cache: Any = None) -> tuple[Tensor, Any]:
        """f32[N,C,T,H,W] and the cache of the chunk before → f32[N,C',T',H',W'] and the next cache."""
        ordered = video.to(self.dtype).contiguous(memory_format=torch.channels_last_3d)
        out, following = self.inner(ordered, conv_cache=conv_cache)
        return out.float(), following


def build_chunked_stage(cell: Cell, preset: Preset, draw: Draw) -> Built:
    """ "encode_coarse", "encode_images" or "decode" by our graph modules."""
    sizes = published_sizes(preset)
    vae = made(lambda: build_cogvideox_autoencoder(sizes, preset.height, preset.width), DTYPES[cell.dtype], draw)
    lay_out(vae)
    layouts = cogvideox_cache_layouts(sizes, preset.height, preset.width)
    graphs = cogvideox_autoencoder_graphs(vae, *layouts)
    for module in graphs.values():
        module.model = HalfCast(module.get_submodule("model"), DTYPES[cell.dtype])
    inputs = stage_inputs(cell, preset, draw)
    half = vae.decoder if cell.stage == "decode" else vae.encoder
    calls = {name: compiled(module, cell.mode) for name, module in graphs.items()}
    run, first = _runs(cell, preset, calls, inputs)
    return Built(
        run=run,
        inputs=inputs,
        modules=(half,),
        first=first,
        reference=published_run(cell, twin(vae), inputs, sizes.scaling_factor),
        autotune=True,
        notes=("chunk by chunk with explicit caches, channels_last_3d",),
    )


def _runs(cell: Cell, preset: Preset, calls: dict[str, Any], inputs: tuple[Tensor, ...]) -> tuple[Any, Any]:
    def images() -> dict[str, Tensor]:
        given, eta, noise = inputs
        first, last = calls["encode_images"](given, torch.full((1,), SIGMA, device=given.device), eta, noise)
        return {"first": first, "last": last}

    def encode() -> dict[str, Tensor]:
        frames, noise = inputs
        found, cache = [], ()
        spans = zip(frame_chunks(preset.frames), latent_chunks(preset.latent_frames), strict=True)
        for (begin, end), (low, high) in spans:
            name = "encode_next" if cache else "encode_first"
            latent, *following = calls[name](frames[begin:end], noise[:, low:high], *cache)
            found.append(latent)
            cache = tuple(following)
        return {"z_r": torch.cat(found, dim=1)}

    def decode(chunks: int | None = None) -> dict[str, Tensor]:
        (latent,) = inputs
        found, cache = [], ()
        for low, high in latent_chunks(preset.latent_frames)[:chunks]:
            name = "decode_next" if cache else "decode_first"
            frames, *following = calls[name](latent[:, low:high], *cache)
            found.append(frames)
            cache = tuple(following)
        return {"frames": torch.cat(found)}

    if cell.stage == "decode":
        return decode, lambda: decode(1)
    return (images if cell.stage == "encode_images" else encode), None
