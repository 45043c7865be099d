"""Text of others in messages of ours: one line of it, and not all of it."""

from __future__ import annotations

LONGEST = 200
"""Characters that are shown."""


def one_line(text: str) -> str:
    """At most `LONGEST` characters of a text on one line; what does not print is written as an escape."""
    line = " ".join(text.split())
    shown = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
