"""Which encoders and decoders a bundle keeps: its preset's own, the tiny one beside a published one, or both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import KIND, Half, pairs
from videoscene_rt.engines.preset import Preset, TinyAutoencoderSizes
from videoscene_rt.export.request import ExportRequest, KeptHalf
from videoscene_rt.export.tiny_autoencoder_weights import sizes_of


@dataclass(frozen=True)
class Kept:
    """The halves of a bundle, the one that runs by default first."""

    encoders: tuple[Half, ...]
    decoders: tuple[Half, ...]

    @classmethod
    def own(cls, preset: Preset) -> Kept:
        """The preset's own autoencoder alone."""
        half = KIND[preset.autoencoder.kind]
        return cls((half,), (half,))

    @property
    def pairs(self) -> tuple[tuple[Half, Half], ...]:
        """See `videoscene_rt.engines.halves.pairs`."""
        return pairs(self.encoders, self.decoders)


def kept_halves(request: ExportRequest, tiny_file: Path | None) -> tuple[Preset, Kept]:
    """What a bundle keeps, and the preset that says so.

    Where nothing of the published autoencoder is kept, the preset's own becomes the tiny one. Its sizes are its file's, where there
    is one, else the preset's, else the published ones.

    Args:
        request: what is asked for.
        tiny_file: the tiny autoencoder's weights; None makes them from the seed.

    Raises:
        InputError: the preset has no full autoencoder, and it is asked for; or the file is wrong.
    """
    preset, asked = request.preset, {"--encoder": request.encoder, "--decoder": request.decoder}
    if preset.autoencoder.kind == "tiny":
        for option, half in asked.items():
            if half not in (None, "tiny"):
                raise InputError(
                    f"{option} {half}: preset {preset.name} has the tiny autoencoder and no full one",
                    f"leave {option} out",
                )
        return preset, Kept.own(preset)
    kept = Kept(_halves(request.encoder), _halves(request.decoder))
    if "tiny" not in (*kept.encoders, *kept.decoders):
        return preset.model_copy(update={"tiny_autoencoder": None}), kept
    sizes = preset.tiny_autoencoder or TinyAutoencoderSizes()
    if tiny_file is not None:
        if not tiny_file.is_file():
            raise InputError(
                f"there is no tiny autoencoder at {tiny_file}",
                "name its weights (taecvx.safetensors): --tiny-autoencoder FILE",
            )
        sizes = sizes_of(tiny_file)
    if "full" not in (*kept.encoders, *kept.decoders):
        return preset.model_copy(update={"autoencoder": sizes, "tiny_autoencoder": None}), kept
    return preset.model_copy(update={"tiny_autoencoder": sizes}), kept


def _halves(asked: KeptHalf | None) -> tuple[Half, ...]:
    return ("full", "tiny") if asked == "both" else (asked or "full",)
