"""Where the kernels' sources are: packaged beside this file, compiled on the machine that runs them."""

from __future__ import annotations

from importlib import resources

_OF_GRAPH = {"renderer": "splat.cu"}


def kernel_source(graph: str) -> bytes | None:
    """The CUDA source that computes a graph; None where there is none."""
    name = _OF_GRAPH.get(graph)
    return None if name is None else packaged(name)


def packaged(name: str) -> bytes:
    """A source file of this package."""
    return resources.files(__package__).joinpath(name).read_bytes()
