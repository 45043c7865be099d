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

_LEVELS = 2**8
_ORIENTATION, _BITS, _SAMPLE_FORMAT, _UNSIGNED = 0x0112, 258, 339, 1
"""TIFF's tags (TIFF 6.0, sections 8 and 19), the first one EXIF's as well; a sample format of 1 is unsigned."""

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
        # Of a file by name Pillow maps some plain TIFFs into memory, and those that are turned in the wrong shape.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            _check(path, image)
            stored = _as_stored(image)
            # A palette's transparency is dropped like any alpha, which Pillow does without a warning through RGBA.
            plain = stored.convert("RGBA") if stored.mode in ("P", "PA") else stored
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
    if image.mode.startswith(("I", "F")) or _most_levels(image) > _LEVELS:
        raise InputError(f"{path}: more than 8 bits a channel", "convert it to 8-bit RGB")
    if image.format == "TIFF" and set(image.tag_v2.get(_SAMPLE_FORMAT, (_UNSIGNED,))) != {_UNSIGNED}:
        raise InputError(f"{path}: its values have a sign or a fraction", "convert it to 8-bit RGB")
    if image.mode not in _TO_RGB:
        raise InputError(f"{path}: colour mode {image.mode}", "convert it to 8-bit RGB")


def _most_levels(image: Any) -> int:
    """How many levels a channel has at most. Pillow opens 16-bit colour as "RGB" and cuts the low byte, or takes it for a pixel."""
    if image.format == "TIFF":
        return int(2 ** max(image.tag_v2.get(_BITS, (1,))))
    found = 2
    for tile in image.tile:
        words = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if any(";16" in str(word) for word in words):  # of a PNG the raw mode tells,
            found = 2**16
        if image.format == "PPM":  # of a PPM its largest value
            found = max(found, *(word + 1 for word in words if isinstance(word, int)), 0)
    return found


def _as_stored(image: Any) -> Any:
    """The picture, decoded, its pixels where the file has them: of a TIFF alone Pillow applies the orientation, and it is undone."""
    from PIL.Image import Transpose

    undone = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_90,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_270,
    }
    if image.format != "TIFF":
        return image
    way = undone.get(image.getexif().get(_ORIENTATION, 1))
    image.load()
    applied = _ORIENTATION not in image.getexif()
    return image.transpose(way) if way is not None and applied else image
