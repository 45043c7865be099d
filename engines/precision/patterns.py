"""Patterns over node names: `module.path/Op` matched piece by piece."""

from __future__ import annotations

import re
from functools import lru_cache


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": ".*", "*": "[^./]*"}
    return re.compile("".join(wild.get(piece, re.escape(piece)) for piece in pieces))


def matches(pattern: str, name: str) -> bool:
    """Whether a node's name fits: ``*`` stands for any characters within one piece of the path, ``**`` for any at all."""
    return _compiled(pattern).fullmatch(name) is not None
