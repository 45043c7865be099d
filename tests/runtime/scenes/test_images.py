"""Images: what is read, and what is refused before or while it is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from videoscene_rt.engines.errors import InputError
from videoscene_rt.scenes.images import read_image

_PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def _png(width: int, height: int, depth: int = 8, colour_type: int = 2, rows: bytes | None = None) -> bytes:
    """A PNG by hand, which may declare what no library would write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"" if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _tiff(height: int, width: int, channels: int, bits: int, sample_format: int) -> bytes:
    """A TIFF by hand: one plane of random values after the other."""
    plane = height * width * bits // 8
    data = np.random.default_rng(0).integers(0, 256, plane * channels, np.uint8).tobytes()
    places, end = [8 + plane * i for i in range(channels)], 8 + len(data)
    entries, beyond = b"", b""
    for tag, values in (
        (256, [width]), (257, [height]), (258, [bits] * channels), (259, [1]), (262, [2 if channels == 3 else 1]), (273, places),
        (277, [channels]), (278, [height]), (279, [plane] * channels), (284, [2]), (339, [sample_format] * channels),
    ):  # fmt: skip
        kind, letter = (4, "I") if tag in (273, 279) else (3, "H")
        packed = struct.pack(f"<{len(values)}{letter}", *values)
        if len(packed) > 4:
            packed, beyond = struct.pack("<I", end + len(beyond)), beyond + packed.ljust(12, b"\0")
        entries += struct.pack("<HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    directory = struct.pack("<H", len(entries) // 12) + entries + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", end + len(beyond)) + data + beyond + directory


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format=kind, **options)  # type: ignore[arg-type]
    return file.getvalue()


def _read(tmp_path: Path, data: bytes, name: str = "picture.png") -> np.ndarray:
    (tmp_path / name).write_bytes(data)
    return read_image(tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_are_exact(tmp_path: Path, kind: str) -> None:
    assert np.array_equal(_read(tmp_path, _encoded(Image.fromarray(_PIXELS), kind)), _PIXELS)


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.repeat(np.linspace(0, 255, 30, dtype=np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    read = _read(tmp_path, _encoded(Image.fromarray(smooth), "JPEG", quality=95), "picture.jpg")
    assert np.abs(read.astype(int) - smooth).max() < 8


def test_alpha_is_dropped_and_grey_and_palettes_become_rgb(tmp_path: Path) -> None:
    alpha = np.concatenate([_PIXELS, np.arange(600, dtype=np.uint8).reshape(20, 30, 1)], axis=2)
    assert np.array_equal(_read(tmp_path, _encoded(Image.fromarray(alpha, "RGBA"), "PNG")), _PIXELS)
    grey = _PIXELS[:, :, 0]
    assert np.array_equal(_read(tmp_path, _encoded(Image.fromarray(grey), "PNG")), np.stack([grey] * 3, axis=2))
    palette = Image.fromarray(_PIXELS // 128 * 255).quantize(8)
    expected = np.asarray(palette.convert("RGB"))
    data = _encoded(palette, "PNG", transparency=bytes(range(8)))
    assert np.array_equal(_read(tmp_path, data), expected)


def test_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    first, second = Image.fromarray(_PIXELS), Image.fromarray(255 - _PIXELS)
    data = _encoded(first, "TIFF", save_all=True, append_images=[second])
    assert np.array_equal(_read(tmp_path, data, "pages.tiff"), _PIXELS)
    phone = _read(tmp_path, _encoded(first, "MPO", save_all=True, append_images=[second]), "phone.jpg")
    assert np.array_equal(phone, _read(tmp_path, _encoded(first, "JPEG"), "plain.jpg"))


def test_exif_orientation_is_not_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    read = _read(tmp_path, _encoded(Image.fromarray(_PIXELS), "JPEG", exif=exif.tobytes()), "turned.jpg")
    assert read.shape == (20, 30, 3)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_nor_is_that_of_a_tiff(tmp_path: Path, orientation: int, compression: str) -> None:
    for mode in ("RGB", "L", "P", "RGBA"):
        stored = Image.fromarray(_PIXELS).convert(mode)
        data = _encoded(stored, "TIFF", tiffinfo={0x0112: orientation}, compression=compression)
        assert np.array_equal(_read(tmp_path, data, "turned.tiff"), np.asarray(stored.convert("RGB"))), mode


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (1, 1, "1 px wide"),
        (30, 15, "15 px high"),
        (20000, 20, "20000 px wide"),
        (20, 20000, "20000 px high"),
        (9000, 9000, "67,108,864 pixels"),
        (20000, 20000, "67,108,864"),
        (2**31 - 1, 2**31 - 1, "67,108,864"),
    ],
)
def test_sizes_are_refused_before_decoding(tmp_path: Path, width: int, height: int, words: str) -> None:
    # The files hold no pixels at all: were they decoded, the message would be another one.
    with pytest.raises(InputError, match=words) as caught:
        _read(tmp_path, _png(width, height))
    assert "picture.png" in caught.value.problem


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (6, 4)])
def test_16_bits_are_refused(tmp_path: Path, colour_type: int, channels: int) -> None:
    rows = (b"\0" + b"\x12\x34" * 20 * channels) * 20
    with pytest.raises(InputError, match="more than 8 bits"):
        _read(tmp_path, _png(20, 20, 16, colour_type, rows))


@pytest.mark.parametrize("levels", [257, 1000, 2**16])
def test_so_are_they_in_a_ppm(tmp_path: Path, levels: int) -> None:
    deep = np.random.default_rng(0).integers(0, levels, (20, 30, 3))
    header = b"\n30 20\n%d\n" % (levels - 1)
    for kind, data in ((b"P6", deep.astype(">u2").tobytes()), (b"P3", " ".join(map(str, deep.ravel())).encode())):
        with pytest.raises(InputError, match="more than 8 bits"):
            _read(tmp_path, kind + header + data, "deep.ppm")


@pytest.mark.parametrize(("bits", "sample_format", "words"), [(16, 1, "more than 8 bits"), (8, 2, "a sign")])
def test_so_are_they_in_a_tiff_of_planes_and_values_with_a_sign(
    tmp_path: Path, bits: int, sample_format: int, words: str
) -> None:
    channels = 3 if bits == 16 else 1
    with pytest.raises(InputError, match=words):
        _read(tmp_path, _tiff(20, 30, channels, bits, sample_format), "deep.tiff")


def test_a_wide_bitmap_is_read(tmp_path: Path) -> None:
    wide = np.tile(_PIXELS, (1, 40, 1))
    assert np.array_equal(_read(tmp_path, _encoded(Image.fromarray(wide), "BMP")), wide)


def test_other_colour_modes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="colour mode CMYK"):
        _read(tmp_path, _encoded(Image.new("CMYK", (20, 20)), "JPEG"))
    with pytest.raises(InputError, match="more than 8 bits"):
        _read(tmp_path, _encoded(Image.new("F", (20, 20)), "TIFF"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "TIFF"])
def test_truncated_files_are_refused(tmp_path: Path, kind: str) -> None:
    data = _encoded(Image.fromarray(np.tile(_PIXELS, (4, 4, 1))), kind)
    for part in (0.05, 0.5, 0.9):
        with pytest.raises(InputError, match=r"picture\.png: "):
            _read(tmp_path, data[: int(len(data) * part)])


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an image"):
        _read(tmp_path, b"hello, world")
    with pytest.raises(InputError, match="not an image"):
        _read(tmp_path, b"")
    with pytest.raises(InputError, match="not an image"):
        _read(tmp_path, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.png: no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match="not a regular file"):
        read_image(tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM"]),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.integers(0, 3000),
)
def test_damaged_files_give_an_image_or_an_input_error(
    tmp_path: Path, kind: str, edits: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(_encoded(Image.fromarray(_PIXELS), kind))
    for place, value in edits:
        data[place % len(data)] = value
    try:
        image = _read(tmp_path, bytes(data[: len(data) - cut % len(data)] if cut % 2 else data))
    except InputError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
