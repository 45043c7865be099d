"""The schedule of a chain as a picture: lanes as rows, stages as boxes, arrows from what is waited for, and a table of all of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.atomic import replacing
from videoscene_rt.pictures.contact_sheet import BACKGROUND, FAINT, INK, MARGIN, SMALL, TEXT
from videoscene_rt.pictures.schedule_layout import Box, Layout, apart, layout, ticks
from videoscene_rt.pictures.schedule_table import draw_table, table_height
from videoscene_rt.pictures.text import Colour, draw_text, text_width, wrapped

if TYPE_CHECKING:
    from videoscene_rt.chain.program import StageTime
    from videoscene_rt.chain.schedule import Schedule

NARROWEST = 480
"""Pixels."""

LANES: tuple[Colour, ...] = ((46, 98, 170), (190, 92, 22), (28, 122, 108), (122, 74, 160))
"""A lane's colour; the fifth lane has the first one's again."""
_WHITE: Colour = (255, 255, 255)
_GRID: Colour = (222, 222, 226)

_LABEL, _BOX, _TAG, _LINE = 64, 58, 22, 15
"""Pixels: the column of the lanes' names, the height of a box, of the strip beside it for numbers that do not fit in, of a line."""
_SIZES = (14, 12)
_CAPTION = 20
_TRACK, _HEAD = 7, 8
"""Pixels between two arrows side by side, and of an arrow's head."""


class _Place:
    """From lanes and times to pixels."""

    def __init__(self, found: Layout, width: int, top: int) -> None:
        self.left, self.right, self.top = MARGIN + _LABEL, width - MARGIN, top
        self._scale = (self.right - self.left) / max(found.span, 1e-9)
        self.last = found.lanes - 1
        self.gap = 2 * (_HEAD + 6) + _TRACK * len(found.arrows)
        self.bottom = self.y(self.last) + _BOX + (_TAG if self.last else 0)

    def x(self, at: float) -> int:
        return round(self.left + at * self._scale)

    def y(self, lane: int) -> int:
        """The upper edge of a lane's boxes."""
        return self.top + _TAG * (1 + max(0, min(lane, self.last - 1))) + lane * (_BOX + self.gap)

    def tags_below(self, lane: int) -> bool:
        """Whether a lane's numbers stand under its boxes: those of the last one do, since arrows come and go over it."""
        return lane == self.last > 0

    def across(self, box: Box) -> tuple[int, int]:
        """The left and right edge of a box, at least two pixels apart, with a gap to its neighbours where there is room."""
        left, right = self.x(box.begin), self.x(box.end)
        return (left, right - 2) if right - left > 6 else (min(left, self.right - 2), max(right, left + 2))


def draw_schedule(
    schedule: Schedule, times: Sequence[StageTime] | None = None, *, width: int = 1200, title: str = ""
) -> Image.Image:
    """Draw a schedule.

    Args:
        schedule: the lanes and waits.
        times: when each stage ran, milliseconds; then boxes are to scale over an axis. None: every stage is one unit wide.
        width: of the picture, pixels; the height follows.
        title: one line at the top.

    Raises:
        InputError: the picture is too narrow, or the times are not those of this schedule's stages.
    """
    if width < NARROWEST:
        raise InputError(f"a schedule's picture must be at least {NARROWEST} pixels wide, not {width}")
    found = layout(schedule, times)
    place = _Place(found, width, MARGIN + (TEXT + 14 if title else 0))
    caption = wrapped(_caption(found), SMALL, width - 2 * MARGIN)
    below = place.bottom + (34 if found.timed else 12)
    table = below + _CAPTION * len(caption) + 8
    sheet = Image.new("RGB", (width, table + table_height(found) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw_text(draw, (MARGIN, MARGIN - 4), " ".join(title.split()), TEXT, INK)
    if found.timed:
        _draw_axis(draw, place, found)
    for lane in range(found.lanes):
        draw_text(draw, (MARGIN, place.y(lane) + _BOX / 2 - 10), f"lane {lane}", SMALL, INK)
    for track, (source, target) in enumerate(found.arrows):
        _draw_arrow(draw, place, source, target, track)
    _draw_boxes(draw, place, found)
    for number, line in enumerate(caption):
        draw_text(draw, (MARGIN, below + number * _CAPTION), line, SMALL, FAINT)
    draw_table(draw, (MARGIN, table), found, width - 2 * MARGIN, LANES)
    return sheet


def write_schedule(path: str | os.PathLike[str], picture: Image.Image) -> None:
    """Write the picture as PNG, under a temporary name first.

    Raises:
        InputError: the path cannot be written.
    """
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


def _caption(found: Layout) -> str:
    if not found.timed:
        return "not to scale: every stage is one unit wide and stands as early as its lane and what it waits for let it"
    share = f"; more than one lane at once for {found.together:.3f} ms" if found.lanes > 1 else ""
    return f"to scale: {found.span:.3f} ms from the first stage's beginning to the last one's end{share}"


def _draw_axis(draw: ImageDraw.ImageDraw, place: _Place, found: Layout) -> None:
    marks = ticks(found.span, most=max(3, (place.right - place.left) // 90))
    for mark in marks:
        x, label = place.x(mark), f"{mark:.6g}" + (" ms" if mark == marks[-1] else "")
        draw.line([(x, place.top), (x, place.bottom + 6)], fill=_GRID)
        half = text_width(label, 13) / 2
        draw_text(draw, (min(x - half, place.right - 2 * half), place.bottom + 10), label, 13, FAINT)


def _draw_arrow(draw: ImageDraw.ImageDraw, place: _Place, source: Box, target: Box, track: int) -> None:
    """Out of the source's end, along a line of its own between the lanes, into the target's beginning.

    From farther lanes it stands farther inside both boxes, so that it passes behind those between beside their own arrows.
    """
    (left, right), (begin, end) = place.across(source), place.across(target)
    inside = 8 + 2 * _TRACK * (abs(source.lane - target.lane) - 1)
    x0, x1 = max((left + right) // 2, right - inside), min((begin + end) // 2, begin + inside)
    down = target.lane > source.lane
    y0 = place.y(source.lane) + (_BOX if down else 0)
    y1 = place.y(target.lane) + (-1 if down else _BOX + 1)
    level = place.y(min(source.lane, target.lane)) + _BOX + _HEAD + 6 + _TRACK * track
    base = y1 + (-_HEAD if down else _HEAD)
    draw.line([(x0, y0), (x0, level), (x1, level), (x1, base)], fill=INK, width=2)
    draw.polygon([(x1, y1), (x1 - 5, base), (x1 + 5, base)], fill=INK)


def _draw_boxes(draw: ImageDraw.ImageDraw, place: _Place, found: Layout) -> None:
    room = {box: place.across(box)[1] - place.across(box)[0] - 6 for box in found.boxes}
    labels = {box: label for box in found.boxes if (label := _label(box, room[box])) is not None}
    size = min((label[0] for label in labels.values()), default=_SIZES[0])
    for box in found.boxes:
        (left, right), top, colour = place.across(box), place.y(box.lane), LANES[box.lane % len(LANES)]
        draw.rectangle([(left, top), (right, top + _BOX)], fill=colour)
        lines = labels[box][1] if box in labels else []
        for number, line in enumerate(lines):
            y = top + _BOX / 2 + (number - len(lines) / 2) * _LINE - 1
            draw_text(draw, ((left + right - text_width(line, size)) / 2, y), line, size, _WHITE)
    for lane in range(found.lanes):
        _draw_tags(draw, place, [box for box in found.boxes if box.lane == lane and box not in labels])


def _label(box: Box, room: float) -> tuple[int, list[str]] | None:
    """The largest size in which the name fits into the box, whole or broken at its underscores, else the number; None if nothing does."""
    words = box.stage.split("_")
    broken = [f"{word}_" for word in words[:-1]] + words[-1:]
    for lines in ([box.stage], broken, [str(box.number)]):
        for size in _SIZES:
            if len(lines) * _LINE <= _BOX - 4 and max(text_width(line, size) for line in lines) <= room:
                return size, lines
    return None


def _draw_tags(draw: ImageDraw.ImageDraw, place: _Place, boxes: list[Box]) -> None:
    """Numbers beside boxes that are too narrow for one, moved apart until none covers another, each with a line to its box."""
    widths = [text_width(str(box.number), 12) + 6 for box in boxes]
    centres = [sum(place.across(box)) / 2 for box in boxes]
    spots = apart(centres, widths, place.right + MARGIN / 2)
    for box, spot, centre, width in zip(boxes, spots, centres, widths, strict=True):
        below, top = place.tags_below(box.lane), place.y(box.lane)
        near, far, text = (_BOX + 2, _BOX + 8, _BOX + 7) if below else (-2, -7, -_TAG)
        draw.line([(spot, top + far), (centre, top + near)], fill=FAINT)
        draw_text(draw, (spot - width / 2 + 3, top + text), str(box.number), 12, INK)
