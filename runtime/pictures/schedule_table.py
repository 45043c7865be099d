"""The table under a schedule's picture: every stage with its graph, its lane, what it waits for and, where known, its times."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageDraw

from videoscene_rt.pictures.contact_sheet import FAINT, INK
from videoscene_rt.pictures.schedule_layout import Box, Layout
from videoscene_rt.pictures.text import Colour, draw_text, text_width

_ROW, _SIZE, _SPACE, _SWATCH = 20, 13, 20, 12


def table_height(found: Layout) -> int:
    """Pixels."""
    return _ROW * (len(found.boxes) + 1)


def draw_table(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], found: Layout, width: int, colours: Sequence[Colour]
) -> None:
    """Draw it.

    Args:
        draw: the picture's.
        at: its upper left corner, pixels.
        found: the boxes.
        width: what there is, pixels; a text that goes beyond its column, or beyond this, is cut.
        colours: of the lanes.
    """
    left, top = at
    head, rows = _rows(found)
    columns = list(zip(head, *rows, strict=True))
    widths = [max(text_width(text, _SIZE) for text in column) + _SPACE for column in columns]
    x = float(left + _SWATCH + 6)
    for heading, column, room in zip(head, columns, widths, strict=True):
        for number, text in enumerate(column):
            shown = _cut(text, left + width - x)
            # Figures end under one another, words begin so; a heading goes with its column.
            shift = room - _SPACE - text_width(shown, _SIZE) if heading in ("no.", "start", "end", "ms") else 0
            draw_text(draw, (x + max(shift, 0), top + number * _ROW), shown, _SIZE, FAINT if number == 0 else INK)
        x += room
    for number, box in enumerate(found.boxes, 1):
        y = top + number * _ROW + 3
        draw.rectangle([(left, y), (left + _SWATCH - 1, y + _SWATCH - 1)], fill=colours[box.lane % len(colours)])


def _rows(found: Layout) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    if not found.timed:
        return ("no.", "stage", "graph", "lane", "waits for"), [_words(box) for box in found.boxes]
    head = ("no.", "stage", "start", "end", "ms", "graph", "lane", "waits for")
    rows = []
    for box in found.boxes:
        number, stage, *rest = _words(box)
        figures = (f"{box.begin:.3f}", f"{box.end:.3f}", f"{box.end - box.begin:.3f}")
        rows.append((number, stage, *figures, *rest))
    return head, rows


def _words(box: Box) -> tuple[str, ...]:
    return str(box.number), box.stage, box.graph, str(box.lane), ", ".join(box.waits)


def _cut(text: str, room: float) -> str:
    if text_width(text, _SIZE) <= room:
        return text
    while text and text_width(text + "…", _SIZE) > room:
        text = text[:-1]
    return text + "…" if text else ""
