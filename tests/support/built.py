"""Engines of small bundles, built by ONNX Runtime on the CPU over three random scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.scenes import scene
from videoscene_rt.chain.recording import Recording
from videoscene_rt.chain.recording_scenes import SceneSource
from videoscene_rt.engines.building.build import BuildReport, BuildRequest, build_bundle
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine

BUILT = ("student", "encode_images", "encode_clip", "encode_stream", "decode_clip", "decode_stream")
"""The graphs of the small bundle that get an engine of their own under fp16; renderer and policy stay the reference's."""


def sources(first_seed: int = 0) -> tuple[SceneSource, ...]:
    """Three random scenes."""
    seeds = range(first_seed, first_seed + 3)
    return tuple(SceneSource(f"random-{seed}", f"random {seed}", lambda seed=seed: scene(seed=seed)) for seed in seeds)


def recording(folder: Path, first_seed: int = 0) -> Recording:
    """The reference over them."""
    return Recording(Bundle.open(folder), sources(first_seed), threads=1)


def build(folder: Path, precision: str = "fp16", recorder: Any = None, **changes: Any) -> BuildReport:
    """Build ONNX Runtime's engines of a bundle.

    Args:
        folder: the bundle.
        precision: the ceiling.
        recorder: other than `recording`.
        changes: of the `BuildRequest`.
    """
    request = BuildRequest(
        **{"bundle": Bundle.open(folder), "backend": "onnxruntime", "precision": precision, "threads": 1} | changes
    )
    return build_bundle(request, recorder or recording(folder))


def outcomes(report: BuildReport) -> dict[str, str]:
    """Graph → "built", "reused", "source" or "host"."""
    return {graph.graph: graph.outcome for graph in report.graphs}


def stored(folder: Path, graph: str, pair: str = "onnxruntime/fp16") -> StoredEngine:
    """The engine that is selected for a graph."""
    store = EngineStore(folder)
    return store.open(store.selected().pairs[pair].graphs[graph])
