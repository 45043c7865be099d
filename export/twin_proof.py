"""How a bundle is proved whose models do not fit in memory: on a small twin with the same weights, a layer at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import Parity
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.chain_parity import prove_chains
from videoscene_rt.export.ends import EndsError, prove_ends
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.kept import Kept
from videoscene_rt.export.learned_positions import CutPositions, grid_of
from videoscene_rt.export.models import Models, build_shells
from videoscene_rt.export.parity import Arrays, ParityError, prove, require
from videoscene_rt.export.segments import run_in_segments
from videoscene_rt.export.sources import Sources
from videoscene_rt.export.tracing import Traced, structure
from videoscene_rt.export.twin import Agreement, Matching, Scales, TwinError, agree, twin_preset
from videoscene_rt.export.weights import Stored, WeightFile, hold

OnPart = Callable[[str, int, int, str], None]

_PREFIX = "twin_"
_ITSELF = ("renderer", "policy")
"""Small enough to be run in their own size, as in any bundle."""


class TwinProof:
    """Proves the graphs of a large preset, one after the other, and then the chain.

    Args:
        preset: the large one.
        sources: its weights.
        constant: see `build_models`.
        folder: where the graphs and their weights are; the twin's files are written there, and removed by `close`.
        on_part: told (what, done, in all, unit) while a graph is run.
        kept: the encoders and decoders that the bundle has; without being told which, the preset's own.
    """

    def __init__(
        self,
        preset: Preset,
        sources: Sources,
        constant: int | None,
        folder: Path,
        on_part: OnPart = lambda what, done, total, unit: None,
        kept: Kept | None = None,
    ) -> None:
        self._kept = kept or Kept.own(preset)
        self._on_part = on_part
        self._large, self.preset = preset, twin_preset(preset)
        cut = CutPositions(sources.student, grid_of(preset), grid_of(self.preset))
        self._models: Models = build_shells(self.preset, replace(sources, student=cut), constant)
        graphs = [*chain_graphs(self._models, self.preset), *autoencoder_graphs(self._models, self.preset, self._kept)]
        self._sources = {source.name: source for source in graphs}
        self._folder = folder
        self._extra = WeightFile(folder, f"{_PREFIX}weights.bin")

    def matching(self, large: Traced) -> Matching | None:
        """Trace the twin of a graph and hold the graph against it, before it has its weights; None for one that is run itself.

        Raises:
            ParityError: they differ in more than sizes.
        """
        name = large.source.name
        if name in _ITSELF:
            return None
        twin = structure(self._sources[name])
        try:
            return Matching(twin, agree(twin, large, Scales.between(self.preset, self._large)))
        except TwinError as error:
            raise ParityError(
                f"graph {name} is not the graph that was run for it at a smaller size: {error}"
            ) from error

    def graph(self, source: GraphSource, path: Path, matching: Matching | None, stored: Stored) -> Parity:
        """Prove a graph that is written.

        Args:
            source: the large graph's.
            path: its file.
            matching: from `matching`.
            stored: where its weights are.

        Raises:
            ParityError: see `prove`.
        """
        if matching is None:
            parity = prove(source, path)
            if source.name == "policy":
                self._write(structure(self._sources["policy"]), {}, {})
            return parity
        twin_path = self._write(matching.twin, matching.agreement.shared, stored)
        parity = prove(matching.twin.source, twin_path, run=self._run)
        parity = parity.model_copy(update={"scope": self._scope(matching.agreement)})
        return self._with_ends(source, path, parity) if source.name == "student" else parity

    def chain(self) -> Parity:
        """Prove the chain of the twin's graphs; see `prove_chains`."""
        sources = list(self._sources.values())
        parity = prove_chains(self._models, self.preset, sources, self._folder, self._kept, self._run_twin)
        return parity.model_copy(
            update={"scope": f"{self._size(self.preset)}, with the same weights, blocks and frames"}
        )

    def close(self) -> None:
        """Remove the twin's files."""
        for path in self._folder.glob(f"{_PREFIX}*"):
            path.unlink()

    def _write(self, twin: Traced, shared: dict[str, str], stored: Stored) -> Path:
        for name, of_large in shared.items():
            hold(twin.model, twin.model.graph.initializers[name], stored[of_large])
        path = self._folder / f"{_PREFIX}{twin.source.name}.onnx"
        twin.write(path, self._extra)
        return path

    def _with_ends(self, source: GraphSource, path: Path, parity: Parity) -> Parity:
        what = f"without its blocks, {self._size(self._large)}"
        try:
            error = prove_ends(source, path)
        except EndsError as problem:
            raise ParityError(f"graph student cannot be run without its blocks: {problem}") from problem
        require(
            Parity(reference=parity.reference, relative_l2={what: error}, max_abs={}, limit=parity.limit), "student"
        )
        return parity.model_copy(update={"parts": {what: error}})

    def _scope(self, agreement: Agreement) -> str:
        return (
            f"{self._size(self.preset)}, with the same weights, a layer at a time; {self._size(self._large)} it is the same "
            f"graph: {agreement.nodes} nodes, {agreement.weights} weights, {agreement.scaled} integers larger as the picture is"
        )

    @staticmethod
    def _size(preset: Preset) -> str:
        return f"at {preset.frames}×{preset.height}×{preset.width}"

    def _run(self, path: Path, source: GraphSource, inputs: Arrays) -> dict[str, np.ndarray]:
        def on_segment(done: int, total: int) -> None:
            self._on_part(f"running {source.name}", done, total, "pieces")

        return run_in_segments(path, inputs, on_segment=on_segment)

    def _run_twin(self, path: Path, source: GraphSource, inputs: Arrays) -> dict[str, np.ndarray]:
        if source.name != "renderer":
            return self._run(path.with_name(f"{_PREFIX}{path.name}"), source, inputs)
        with torch.no_grad():  # proved in its own size; here it only draws frames to go on from
            tensors = source.module(
                *(torch.from_numpy(np.ascontiguousarray(inputs[spec.name])) for spec in source.inputs)
            )
        return {spec.name: tensor.numpy() for spec, tensor in zip(source.outputs, tensors, strict=True)}
