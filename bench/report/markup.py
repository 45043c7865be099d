"""HTML and SVG from Python: what is not markup already is escaped."""

from __future__ import annotations

from html import escape


class Markup(str):
    """Text that is markup."""

    __slots__ = ()


Child = str | None
_NOTHING = Markup("")
_VOID = ("img",)


def tag(name: str, *children: Child, **attributes: object) -> Markup:
    """An element. A child that is plain text is escaped, None is left out.

    Attributes that are None or False are left out too; ``class_`` is class, and an underscore inside a name is a hyphen.
    """
    told = "".join(
        f' {_name(key)}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{told}>")
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Children one after the other."""
    return Markup(
        "".join(child if isinstance(child, Markup) else escape(child) for child in children if child is not None)
    )


def table(head: tuple[str, ...], rows: list[tuple[Child, ...]], words: int = 1) -> Markup:
    """A table that scrolls sideways where it is too wide. The first ``words`` columns are words, the others numbers."""

    def cells(name: str, row: tuple[Child, ...]) -> Markup:
        return tag("tr", *(tag(name, cell, class_=None if n < words else "n") for n, cell in enumerate(row)))

    body = (tag("thead", cells("th", head)), tag("tbody", *(cells("td", row) for row in rows)))
    return tag("div", tag("table", *body), class_="scroll")


def facts(rows: list[tuple[str, Child]]) -> Markup:
    """A list of names and what they are; a row of None is left out."""
    parts = [join(tag("dt", name), tag("dd", value)) for name, value in rows if value is not None]
    return tag("dl", *parts) if parts else _NOTHING


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
