"""Graphs that a CUDA kernel of ours runs in the traced graph's place, on every backend of a GPU: the same bits, faster."""

from __future__ import annotations

import hashlib

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.platform import BackendKind

KERNEL_FILE = "engine.cu"
"""Such an engine's file in the store: the CUDA source, which is compiled when it is loaded."""


def kernel_for(graph: str, kind: BackendKind) -> bytes | None:
    """The source of the kernel that runs a graph on a backend; None if the graph runs as it was traced."""
    if kind.device != "cuda":
        return None
    from videoscene_rt.engines.kernels.source import kernel_source

    return kernel_source(graph)


def kernel_recipe(source: bytes, bundle: Bundle) -> str:
    """Hex SHA-256 over what decides how a kernel computes: its source, and the settings that the traced graph holds as constants."""
    return text_sha256([hashlib.sha256(source).hexdigest(), bundle.manifest.preset.renderer.model_dump_json()])
