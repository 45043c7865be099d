"""How the published autoencoder's video is cut into chunks.

Its group norms span a chunk, so only the chunks it was trained with give the right result: 9 frames (3 latent
frames) first, then 8 frames (2 latent frames) at a time (diffusers' AutoencoderKLCogVideoX, ``_encode`` and
``_decode``). Hence 8k+1 frames.
"""

from __future__ import annotations

from videoscene_rt.engines.errors import InputError

FIRST_FRAMES, NEXT_FRAMES = 9, 8
FIRST_LATENT_FRAMES, NEXT_LATENT_FRAMES = 3, 2


def frame_chunks(frames: int) -> list[tuple[int, int]]:
    """The chunks of a clip as (start, stop) frames: 9 first, then 8 at a time; [(0, 9), (9, 17), …].

    Raises:
        InputError: ``frames`` is not 8k+1 with k ≥ 1.
    """
    return _chunks(frames, FIRST_FRAMES, NEXT_FRAMES, "frames")


def latent_chunks(latent_frames: int) -> list[tuple[int, int]]:
    """The chunks of a latent clip as (start, stop) latent frames: 3 first, then 2 at a time; [(0, 3), (3, 5), …].

    The i-th of them decodes to the i-th of ``frame_chunks``.

    Raises:
        InputError: ``latent_frames`` is not 2k+1 with k ≥ 1.
    """
    return _chunks(latent_frames, FIRST_LATENT_FRAMES, NEXT_LATENT_FRAMES, "latent frames")


def _chunks(count: int, first: int, following: int, what: str) -> list[tuple[int, int]]:
    if count < first or (count - first) % following:
        examples = ", ".join(str(first + i * following) for i in range(4))
        raise InputError(
            f"a clip of {count} {what} cannot be cut into chunks of {first} and then {following}",
            f"use {following}k+1 {what}: {examples}, …",
        )
    return [(0, first)] + [(start, start + following) for start in range(first, count, following)]
