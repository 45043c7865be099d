"""How a bundle is proved against torch: whole, with every model in memory, or on a small twin (`videoscene_rt.export.twin_proof`)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import Parity
from videoscene_rt.export.chain_parity import prove_chains
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.kept import Kept
from videoscene_rt.export.models import Models
from videoscene_rt.export.parity import prove
from videoscene_rt.export.tracing import Traced
from videoscene_rt.export.twin import Matching
from videoscene_rt.export.weights import Stored


class Proof(Protocol):
    """Proves the graphs of a bundle, one after the other, and then the chain. Every method raises ParityError."""

    def matching(self, traced: Traced) -> Matching | None:
        """Look at a graph before it has its weights."""

    def graph(self, source: GraphSource, path: Path, matching: Matching | None, stored: Stored) -> Parity:
        """Prove a graph that is written; ``matching`` is from `matching`, ``stored`` where its weights are."""

    def chain(self) -> Parity:
        """Prove the chain, when every graph is written."""

    def close(self) -> None:
        """Remove what was written for the proof alone."""


class WholeProof:
    """Every graph and the chain are run as they are, in their own size.

    Args:
        models: in memory.
        preset: their sizes.
        sources: the graphs, in the order in which they are proved.
        folder: where their files are.
        kept: the encoders and decoders among them.
    """

    def __init__(self, models: Models, preset: Preset, sources: list[GraphSource], folder: Path, kept: Kept) -> None:
        self._models, self._preset, self._sources, self._folder, self._kept = models, preset, sources, folder, kept

    def matching(self, _traced: Traced) -> None:
        """There is no twin."""
        return

    def graph(self, source: GraphSource, path: Path, _matching: Matching | None, _stored: Stored) -> Parity:
        """See `prove`."""
        return prove(source, path)

    def chain(self) -> Parity:
        """See `prove_chains`."""
        return prove_chains(self._models, self._preset, self._sources, self._folder, self._kept)

    def close(self) -> None:
        """Nothing was written."""
