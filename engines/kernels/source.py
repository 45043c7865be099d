"""Where the kernels' sources are: packaged beside this file, compiled on the machine that runs them."""

from __future__ import annotations

import re
from importlib import resources

_INCLUDE = re.compile(rb'^#include "([a-z0-9_]+\.cuh)"\n', re.MULTILINE)
_OF_GRAPH = {"renderer": "splat.cu"}


def kernel_source(graph: str) -> bytes | None:
    """The CUDA source that computes a graph; None where there is none."""
    name = _OF_GRAPH.get(graph)
    return None if name is None else packaged(name)


def packaged(name: str) -> bytes:
    """A source file of this package, as one: with the text of the files that it includes, each once, where they are included."""
    return _whole(name, set())


def _whole(name: str, seen: set[str]) -> bytes:
    seen.add(name)
    text = resources.files(__package__).joinpath(name).read_bytes()

    def included(line: re.Match[bytes]) -> bytes:
        other = line[1].decode()
        return b"" if other in seen else _whole(other, seen).replace(b"#pragma once\n", b"")

    return _INCLUDE.sub(included, text)
