"""The frames of a step as one picture: the rendered cloud above, the refined frames below."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from videoscene_rt.pictures.contact_sheet import chosen_frames

_COLUMNS, _WIDTH, _QUALITY = 9, 208, 82


def frame_strip(coarse: npt.NDArray[np.uint8], refined: npt.NDArray[np.uint8]) -> bytes:
    """A JPEG of at most nine frames of each, evenly chosen, with the first and the last.

    Args:
        coarse, refined: uint8[F,H,W,3] RGB.
    """
    frames, height, width, _ = coarse.shape
    wide = min(_WIDTH, width)
    size = (wide, max(1, round(height * wide / width)))
    chosen = chosen_frames(frames, _COLUMNS)
    strip = Image.new("RGB", (size[0] * len(chosen), 2 * size[1]))
    for row, video in enumerate((coarse, refined)):
        for column, index in enumerate(chosen):
            picture = Image.fromarray(video[index]).resize(size, Image.Resampling.LANCZOS)
            strip.paste(picture, (column * size[0], row * size[1]))
    out = io.BytesIO()
    strip.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()
