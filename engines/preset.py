"""A preset: one student's sizes as data. It travels inside every bundle, so that the runtime needs nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

LATENT_CHANNELS = 16
SPATIAL_COMPRESSION = 8
TEMPORAL_COMPRESSION = 4
PATCH = 2
TIMESTEPS = 1000
"""Of the diffusion's schedule: t in 0…999."""

MAX_FRAMES, MAX_SIDE, MAX_TEXT_WIDTH = 4097, 8192, 65536
"""Far beyond any student, and so that nothing a bundle declares makes plans or tables without end."""

FAR = 32768.0
"""The renderer drops points at this depth and beyond, metres: their key would not fit (docs/architecture.md)."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudentSizes(_Data):
    """Sizes of the DiT (diffusers' CogVideoXTransformer3DModel); width = heads × head_dim."""

    blocks: int = Field(ge=1)
    heads: int = Field(ge=1)
    head_dim: int = Field(default=64, ge=16, multiple_of=16)
    text_tokens: int = Field(ge=1, le=MAX_SIDE)
    text_width: int = Field(ge=1, le=MAX_TEXT_WIDTH)
    time_embed_dim: int = Field(default=512, ge=1)


class TinyAutoencoderSizes(_Data):
    """Sizes of the tiny autoencoder (TAEHV's architecture for CogVideoX latents); the published ones by default."""

    kind: Literal["tiny"] = "tiny"
    encoder_width: int = Field(default=64, ge=1)
    decoder_widths: tuple[int, int, int, int] = (256, 128, 64, 64)


class CogVideoXAutoencoderSizes(_Data):
    """Sizes of the published autoencoder (diffusers' AutoencoderKLCogVideoX); the published ones by default."""

    kind: Literal["cogvideox"] = "cogvideox"
    block_out_channels: tuple[int, int, int, int] = (128, 256, 256, 512)
    layers_per_block: int = Field(default=3, ge=1)
    norm_num_groups: int = Field(default=32, ge=1)
    scaling_factor: FiniteFloat = Field(default=0.7, gt=0)


class RendererSettings(_Data):
    """What the point-cloud renderer holds as constants."""

    radius: int = Field(default=1, ge=0, le=8, description="a point covers a square of 2·radius+1 pixels")
    near: FiniteFloat = Field(default=0.01, gt=0, lt=FAR, description="points with z ≤ near are dropped; metres")
    background: tuple[int, int, int] = Field(default=(0, 0, 0), description="RGB of holes, 0 to 255")

    @model_validator(mode="after")
    def _background_is_a_colour(self) -> RendererSettings:
        if not all(0 <= value <= 255 for value in self.background):
            raise ValueError("background must be three values from 0 to 255")
        return self


class ScheduleSettings(_Data):
    """The noise schedule of the checkpoint: CogVideoX's, zero-terminal-SNR, v-prediction.

    ``rounding``: "exact" gathers √ᾱ and √(1−ᾱ) from float64 values rounded once to float32; "bfloat16" rounds as the published
    code does when it runs in bfloat16 (ᾱ first, then each root).
    """

    snr_shift: FiniteFloat = Field(default=1.0, gt=0)
    rounding: Literal["exact", "bfloat16"] = "exact"


class PolicySizes(_Data):
    """The policy net's candidates, as noise_timestep N in 1…1000 (the timestep is t = N − 1), and its widths."""

    candidates: tuple[Annotated[int, Field(ge=1, le=1000)], ...] = Field(min_length=1)
    channels: tuple[int, int, int] = (32, 64, 64)

    @property
    def timesteps(self) -> tuple[int, ...]:
        """The candidates as timesteps t in 0…999."""
        return tuple(candidate - 1 for candidate in self.candidates)


class Preset(_Data):
    """One student's sizes. Frames are 8k+1; height and width in pixels are multiples of 16."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    frames: int = Field(ge=9, le=MAX_FRAMES)
    height: int = Field(ge=32, le=MAX_SIDE)
    width: int = Field(ge=32, le=MAX_SIDE)
    max_points: int = Field(ge=1, le=2**24)
    student: StudentSizes
    autoencoder: Annotated[TinyAutoencoderSizes | CogVideoXAutoencoderSizes, Field(discriminator="kind")]
    tiny_autoencoder: TinyAutoencoderSizes | None = Field(
        default=None, description="the tiny autoencoder that stands beside a published one; null where none does"
    )
    policy: PolicySizes
    renderer: RendererSettings = RendererSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    @model_validator(mode="after")
    def _sizes_fit(self) -> Preset:
        if self.frames % 8 != 1:
            raise ValueError(
                f"frames must be 8k+1 (9, 17, 25, 33, 41, 49, …), not {self.frames}: "
                "the published autoencoder works in chunks of 9 and 8 frames"
            )
        step = SPATIAL_COMPRESSION * PATCH
        if self.height % step or self.width % step:
            raise ValueError(f"height and width must be multiples of {step}, not {self.height}×{self.width}")
        if self.tiny_autoencoder is not None and self.autoencoder.kind == "tiny":
            raise ValueError("tiny_autoencoder stands beside a published autoencoder, and this preset's own is tiny")
        return self

    @property
    def latent_frames(self) -> int:
        """T: latent frames, (frames − 1) / 4 + 1."""
        return (self.frames - 1) // TEMPORAL_COMPRESSION + 1

    @property
    def latent_shape(self) -> tuple[int, int, int, int, int]:
        """Shape of every latent video: [1, T, 16, H/8, W/8]."""
        return (
            1,
            self.latent_frames,
            LATENT_CHANNELS,
            self.height // SPATIAL_COMPRESSION,
            self.width // SPATIAL_COMPRESSION,
        )
