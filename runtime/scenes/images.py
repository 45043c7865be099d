"""Photographs: files to RGB arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.checks import checked_side
from videoscene_rt.scenes.files import reason, regular_file

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF")
"""What is read. Named one by one, so that no decoder that runs other programs (PostScript) is ever tried."""

MAX_PIXELS = 2**26
"""Most pixels of an image (8192×8192)."""

_TO_RGB = {"RGB", "RGBA", "RGBX", "L", "LA", "1", "P", "PA", "YCbCr"}


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an 8-bit image as RGB: uint8[H,W,3], the pixels as they are stored.

    The intrinsics belong to the stored pixels, so an EXIF orientation is not applied. Alpha is dropped, grey and
    palettes become RGB, of several pictures in one file the first is read. Sizes are checked before decoding.

    Raises:
        InputError: the file is missing, unreadable, truncated, no image, too small or too large, CMYK, or has more than
            8 bits a channel.
    """
    from PIL import Image, UnidentifiedImageError

    path = regular_file(path)
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check(path, image)
            # A palette's transparency is dropped like any alpha, which Pillow does without a warning through RGBA.
            plain = image.convert("RGBA") if image.mode in ("P", "PA") else image
            return np.array(plain.convert("RGB"), dtype=np.uint8)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{path}: not an image", f"readable formats: {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: more pixels than {MAX_PIXELS:,}", "scale the image, and its intrinsics") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged files: all mean the same to the caller
        raise InputError(f"{path}: cannot be read as an image: {reason(error)}") from error


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8[H,W,3] RGB as PNG."""
    from PIL import Image

    Image.fromarray(image).save(path, format="PNG")


def _check(path: Path, image: Any) -> None:
    width, height = image.size
    checked_side(str(path), width, height)
    if width * height > MAX_PIXELS:
        raise InputError(f"{path}: {width}×{height} px; the limit is {MAX_PIXELS:,} pixels")
    # Pillow opens 16-bit colour PNG and TIFF as "RGB" and cuts the low byte; only the raw mode tells.
    raw_modes = [str(tile[3]) for tile in image.tile]
    if image.mode.startswith(("I", "F")) or any(";16" in raw_mode for raw_mode in raw_modes):
        raise InputError(f"{path}: more than 8 bits a channel", "convert it to 8-bit RGB")
    if image.mode not in _TO_RGB:
        raise InputError(f"{path}: colour mode {image.mode}", "convert it to 8-bit RGB")
