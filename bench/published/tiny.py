"""The tiny autoencoder: whole clips as they are exported, and the decoder chunk by chunk for early frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from videoscene_rt.bench.published.autoencoder import SIGMA
from videoscene_rt.bench.published.built import Built, Run
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.modes import DTYPES, compiled
from videoscene_rt.bench.published.weights import Draw, lay_out, made, twin
from videoscene_rt.bench.torch_lowering import CastAutoencoder
from videoscene_rt.engines.chunking import latent_chunks
from videoscene_rt.engines.preset import TEMPORAL_COMPRESSION, Preset, TinyAutoencoderSizes
from videoscene_rt.export.pixels import uint8_from_unit
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder
from videoscene_rt.export.tiny_autoencoder_graphs import DecodeClip, EncodeClip, EncodeImages


def tiny_sizes(preset: Preset) -> TinyAutoencoderSizes:
    """The preset's tiny autoencoder, or the published sizes."""
    own = preset.autoencoder
    return own if isinstance(own, TinyAutoencoderSizes) else preset.tiny_autoencoder or TinyAutoencoderSizes()


class DecodeChunk(nn.Module):
    """Some latent frames in half precision, their memory given and taken."""

    def __init__(self, autoencoder: TinyAutoencoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.autoencoder, self.dtype = autoencoder, dtype

    def forward(self, latent: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        """f32[1,T,16,h,w], memory → frames u8[4T,H,W,3], next memory; the first three of a clip are to be dropped."""
        ordered = latent.squeeze(0).to(self.dtype).contiguous(memory_format=torch.channels_last)
        frames, following = self.autoencoder.decode(ordered, memory or None)
        return (uint8_from_unit(frames.float()), *following)


def build_tiny_stage(cell: Cell, preset: Preset, draw: Draw) -> Built:
    """ "tiny_encode_coarse", "tiny_encode_images" or "tiny_decode"."""
    dtype = DTYPES[cell.dtype]
    model = made(lambda: TinyAutoencoder(tiny_sizes(preset)), dtype, draw)
    half = model.decoder if cell.stage == "tiny_decode" else model.encoder
    clip: Any = CastAutoencoder(model, dtype)
    size = (preset.height, preset.width)
    inputs: tuple[Tensor, ...]
    module: nn.Module
    names: tuple[str, ...]
    if cell.stage == "tiny_encode_coarse":
        inputs, module, names = (draw.levels("coarse", (preset.frames, *size, 3)),), EncodeClip(clip), ("z_r",)
    elif cell.stage == "tiny_encode_images":
        sigma = torch.full((1,), SIGMA, device=draw.device)
        inputs = (draw.levels("images", (2, *size, 3)), sigma, draw.normal("eta", (2, 3, *size)))
        module, names = EncodeImages(clip), ("first", "last")
    else:
        inputs, module, names = (draw.normal("z_0", preset.latent_shape),), DecodeClip(clip), ("frames",)
    whole = _whole(compiled(module.eval(), cell.mode), inputs, names)
    if not cell.mode.startswith("own"):
        return Built(run=whole, inputs=inputs, modules=(half,), autotune=True, notes=("a whole clip at once",))
    reference = _whole(DecodeClip(CastAutoencoder(twin(model), dtype)).eval(), inputs, names)  # type: ignore[arg-type]
    lay_out(model)
    chunk = compiled(DecodeChunk(model, dtype).eval(), cell.mode)
    return Built(
        run=lambda: _chunked(chunk, inputs[0], None),
        inputs=inputs,
        modules=(half,),
        first=lambda: _chunked(chunk, inputs[0], 1),
        reference=reference,
        autotune=True,
        notes=("chunk by chunk with explicit memory, channels_last",),
    )


def _whole(call: Any, inputs: tuple[Tensor, ...], names: tuple[str, ...]) -> Run:
    def run() -> dict[str, Tensor]:
        found = call(*inputs)
        return dict(zip(names, (found,) if isinstance(found, Tensor) else found, strict=True))

    return run


def _chunked(call: Any, latent: Tensor, chunks: int | None) -> dict[str, Tensor]:
    found, memory = [], ()
    for low, high in latent_chunks(latent.shape[1])[:chunks]:
        frames, *following = call(latent[:, low:high], *memory)
        found.append(frames)
        memory = tuple(following)
    return {"frames": torch.cat(found)[TEMPORAL_COMPRESSION - 1 :]}
