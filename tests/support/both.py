"""A bundle with both encoders and both decoders, made from one that has the published ones already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.presets import BOTH
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.export import bundle_export
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.graph_source import GraphSource


def export_both(published: Path, out: Path) -> None:
    """Export the preset `BOTH` with everything kept. Graphs that the published bundle has, of the same weights, are taken from there."""
    graphs, trace = Bundle.open(published).manifest.graphs, bundle_export._export_graph

    def export(source: GraphSource, folder: Path, *rest: object) -> GraphSpec:
        if source.name not in graphs:
            return trace(source, folder, *rest)  # type: ignore[arg-type]
        for name in (f"{source.name}.onnx", f"weights_{source.weights}.bin"):
            if (published / name).exists():
                shutil.copy(published / name, folder)
        return graphs[source.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_export, "_export_graph", export)
        export_bundle(ExportRequest(BOTH, out, constant_timestep=459, encoder="both", decoder="both"))
