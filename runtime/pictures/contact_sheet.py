"""The contact sheet: a step at one glance, coarse frames over refined ones, the two input images at the ends."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.atomic import replacing
from videoscene_rt.pictures.text import draw_text

Pixels = npt.NDArray[np.uint8]

BACKGROUND = (250, 250, 250)
INK = (32, 32, 36)
FAINT = (112, 112, 120)
HOLE_DARK = (104, 52, 96)
HOLE_LIGHT = (150, 84, 138)
STRIPE = 6
"""Width in pixels of a stripe of the hatching that marks holes."""
MARGIN, GAP, INPUT_GAP = 20, 6, 16
TEXT, SMALL = 18, 15


@dataclass(frozen=True)
class _Grid:
    """Where the pictures stand, in pixels of the sheet. Column −1 is the first input, column ``columns`` the last."""

    columns: int
    width: int
    height: int
    top: int

    def x(self, column: int) -> int:
        left = MARGIN + (self.width + GAP) * (column + 1)
        return left + (INPUT_GAP - GAP) * ((column >= 0) + (column == self.columns))

    def y(self, row: float) -> int:
        return round(self.top + (self.height + GAP + SMALL + 8) * row)

    @property
    def legend(self) -> int:
        return self.y(2) - SMALL + 4

    @property
    def size(self) -> tuple[int, int]:
        return self.x(self.columns) + self.width + MARGIN, self.legend + 2 * (SMALL + 8) + MARGIN - 8


def contact_sheet(
    coarse: Pixels,
    refined: Pixels,
    first: Pixels,
    last: Pixels,
    hole_mask: Pixels | None = None,
    *,
    title: str = "",
    max_columns: int = 9,
    max_width: int = 2400,
) -> Image.Image:
    """Draw the sheet.

    Args:
        coarse: uint8[F,H,W,3] RGB, the renderer's frames.
        refined: uint8[F,H,W,3] RGB, the student's frames.
        first, last: uint8[H,W,3] RGB, the two input images as fitted to the preset.
        hole_mask: uint8[F,H,W], 1 where no point fell; hatched in the coarse row. None: nothing is marked.
        title: one line at the top.
        max_columns: at most so many frames, chosen evenly, always the first and the last.
        max_width: the pictures are scaled down, never up, until the sheet is no wider; pixels.

    Raises:
        InputError: shapes or dtypes do not fit each other.
    """
    _check(coarse, refined, first, last, hole_mask)
    frames, height, width, _ = coarse.shape
    chosen = chosen_frames(frames, max_columns)
    grid = _grid(len(chosen), height, width, max_width, MARGIN + (TEXT + 14 if title else 0) + SMALL + 8)
    sheet = Image.new("RGB", grid.size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw_text(draw, (MARGIN, MARGIN - 4), " ".join(title.split()), TEXT, INK)
    for row, (name, video) in enumerate((("coarse", coarse), ("refined", refined))):
        for column, index in enumerate(chosen):
            picture = _scaled(video[index], grid)
            if hole_mask is not None and row == 0:
                picture = _hatched(picture, hole_mask[index])
            sheet.paste(picture, (grid.x(column), grid.y(row)))
            label = f"{name} {index}" if column == 0 else str(index)
            draw_text(draw, (grid.x(column), grid.y(row) - SMALL - 6), label, SMALL, INK if column == 0 else FAINT)
    for column, name, image in ((-1, "first input", first), (len(chosen), "last input", last)):
        sheet.paste(_scaled(image, grid), (grid.x(column), grid.y(0.5)))
        draw_text(draw, (grid.x(column), grid.y(0.5) - SMALL - 6), name, SMALL, INK)
    _legend(sheet, grid, _selection(chosen, frames), hole_mask)
    return sheet


def write_contact_sheet(path: str | os.PathLike[str], sheet: Image.Image) -> None:
    """Write the sheet as PNG, under a temporary name first.

    Raises:
        InputError: the path cannot be written.
    """
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def chosen_frames(frames: int, columns: int) -> tuple[int, ...]:
    """At most ``columns`` frame indices out of ``frames``, evenly spread, with the first and the last."""
    if columns < 2:
        raise InputError(f"a contact sheet needs at least 2 columns, not {columns}")
    count = min(frames, columns)
    return tuple(round(position) for position in np.linspace(0, frames - 1, count).tolist())


def _grid(columns: int, height: int, width: int, max_width: int, top: int) -> _Grid:
    room = max_width - 2 * MARGIN - GAP * (columns - 1) - 2 * INPUT_GAP
    cell = max(16, min(width, room // (columns + 2)))
    return _Grid(columns, cell, max(1, round(height * cell / width)), top)


def _scaled(image: Pixels, grid: _Grid) -> Image.Image:
    return Image.fromarray(image).resize((grid.width, grid.height), Image.Resampling.LANCZOS)


def _hatched(picture: Image.Image, holes: Pixels) -> Image.Image:
    """The picture with diagonal stripes over its holes, as opaque as the share of hole in each scaled pixel."""
    cover = Image.fromarray((holes != 0).astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BOX)
    return Image.composite(_hatching(picture.size), picture, cover)


def _hatching(size: tuple[int, int]) -> Image.Image:
    y, x = np.mgrid[: size[1], : size[0]]
    light = ((x + y) // STRIPE % 2).astype(bool)
    return Image.fromarray(np.where(light[..., None], HOLE_LIGHT, HOLE_DARK).astype(np.uint8))


def _selection(chosen: tuple[int, ...], frames: int) -> str:
    if len(chosen) == frames:
        return f"all {frames} frames"
    return f"{len(chosen)} of {frames} frames: {', '.join(map(str, chosen))}"


def _legend(sheet: Image.Image, grid: _Grid, selection: str, hole_mask: Pixels | None) -> None:
    draw = ImageDraw.Draw(sheet)
    x, y = grid.x(0), grid.legend
    draw_text(draw, (x, y), selection, SMALL, FAINT)
    if hole_mask is None:
        return
    y += SMALL + 8
    sheet.paste(_hatching((36, SMALL)), (x, y + 2))
    draw_text(
        draw,
        (x + 44, y),
        f"hole: no point falls here ({100 * np.mean(hole_mask != 0):.1f} % of all pixels)",
        SMALL,
        FAINT,
    )


def _check(coarse: Pixels, refined: Pixels, first: Pixels, last: Pixels, hole_mask: Pixels | None) -> None:
    if coarse.ndim != 4 or coarse.shape[3] != 3 or 0 in coarse.shape:
        raise InputError(f"coarse frames must be uint8[F,H,W,3], not {coarse.dtype}{list(coarse.shape)}")
    wanted = [("coarse", coarse, coarse.shape), ("refined", refined, coarse.shape)]
    wanted += [("first", first, coarse.shape[1:]), ("last", last, coarse.shape[1:])]
    if hole_mask is not None:
        wanted.append(("hole_mask", hole_mask, coarse.shape[:3]))
    for name, array, shape in wanted:
        if array.dtype != np.uint8 or array.shape != shape:
            raise InputError(f"{name} must be uint8{list(shape)}, not {array.dtype}{list(array.shape)}")
