"""Text in pictures, in Pillow's built-in font: no font file is needed, and what the font lacks is seen to be lacking."""

from __future__ import annotations

from functools import cache

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]

_NO_CHARACTER = "\uffff"  # the built-in font has little beyond ASCII, and draws an empty box for the rest


def draw_text(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: Colour) -> None:
    """Write a line with its upper left corner at ``at``, pixels; characters that the font has not become question marks."""
    draw.text(at, drawable(text, size), fill=colour, font=_font(size))


def text_width(text: str, size: int) -> float:
    """How wide a line is, pixels."""
    return float(_font(size).getlength(drawable(text, size)))


def wrapped(text: str, size: int, width: float) -> list[str]:
    """The text in lines that are at most so wide, pixels, broken between words; a word that is wider has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def drawable(text: str, size: int) -> str:
    """The text with a question mark in the place of every character that the font has not."""
    font = _font(size)
    missing = bytes(font.getmask(_NO_CHARACTER))
    return "".join(c if c.isspace() or bytes(font.getmask(c)) != missing else "?" for c in text)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
