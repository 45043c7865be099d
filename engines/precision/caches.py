"""Which caches between chunks may be FP16 without a number changing: those whose reader would round them to FP16 anyway.

A cache is the past of a causal convolution: it is joined in front of that convolution's input, and nothing else computes with it. Where
the convolution is FP16, what it sees of the cache is rounded to FP16, whoever does it. So the reader alone decides, the next chunk's
graph: for itself, and for the first chunk's, which writes what the next one reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from videoscene_rt.engines.activations import Activations, GraphActivations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import Caches, caches_of
from videoscene_rt.engines.precision.overflow import wide_activations, wide_weights
from videoscene_rt.engines.precision.placement import Choice, moves, place
from videoscene_rt.engines.precision.recipe import Recipe
from videoscene_rt.engines.precision.source import load_source


@dataclass(frozen=True)
class HalfCaches:
    """The caches of a chunk's graph that is being derived.

    Attributes:
        caches: which there are.
        reader: the file of the graph that reads them, where that is another graph; None where it is this one.
        state: of the reader: output → the input that takes it in the next call.
        recipe: of both.
        samples: what the reader read and wrote, for the overflow scan; None for none.
    """

    caches: Caches
    reader: Path | None
    state: Mapping[str, str]
    recipe: Recipe
    samples: GraphActivations | None

    @classmethod
    def of(cls, bundle: Bundle, graph: str, recipe: Recipe, activations: Activations | None) -> HalfCaches | None:
        """Those of a graph; None where it has none, or its recipe leaves them in FP32."""
        graphs = bundle.manifest.graphs
        caches = caches_of(graphs, graph) if recipe.narrows_caches(graph) else None
        if caches is None:
            return None
        reader = None if caches.reader == graph else bundle.graph_path(caches.reader)
        samples = activations.graphs.get(caches.reader) if activations is not None else None
        kept = samples if samples and samples.samples else None
        return cls(caches, reader, graphs[caches.reader].state, recipe, kept)

    def half(self, graph: ir.Graph, choices: Mapping[str, Choice], wide: Collection[str]) -> tuple[str, ...]:
        """The inputs and outputs of the graph that are FP16.

        Args:
            graph: in FP32.
            choices: from `place`.
            wide: values that FP16 cannot hold, by name.

        Raises:
            BackendError: the reader cannot be run on the samples.
        """
        if self.reader is None:
            return self.caches.of(half_inputs(graph, self.state, choices, wide))
        return self.caches.of(self._half_inputs_of(self.reader))

    def _half_inputs_of(self, path: Path) -> frozenset[str]:
        """Of the reader no more is scanned than what its caches meet: a reader in FP32 is found there."""
        model = load_source(path)
        sources = [value for value in model.graph.inputs if value.name in self.state.values()]
        met = {name for source in sources for name in _met(source)}
        wide: dict[str, str] = {}
        if self.samples is not None:
            wide = wide_activations(path, model, self.samples, self.recipe.overflow_margin, met)
        wide |= wide_weights(model, place(model, self.recipe, wide))
        return half_inputs(model.graph, self.state, place(model, self.recipe, wide), wide)


def half_inputs(
    graph: ir.Graph, state: Mapping[str, str], choices: Mapping[str, Choice], wide: Collection[str]
) -> frozenset[str]:
    """The caches that a graph reads and that may be FP16: all that computes with one is FP16, and it leaves the graph, if it does, as
    its own successor.

    Args:
        graph: in FP32.
        state: output → the input that takes it in the next call.
        choices: from `place`.
        wide: values that FP16 cannot hold, by name.
    """
    outputs = {id(value): value.name or "" for value in graph.outputs}

    def may(source: ir.Value) -> bool:
        way, readers = _read(source)
        leaves = [outputs[id(value)] for value in way if id(value) in outputs]
        if any(value.name in wide for value in way) or any(state.get(name) != source.name for name in leaves):
            return False
        found = [choices.get(node.name or "") for node in readers]
        return bool(found) and all(choice is not None and choice.precision == "fp16" for choice in found)

    names = set(state.values())
    return frozenset(value.name or "" for value in graph.inputs if value.name in names and may(value))


def _met(source: ir.Value) -> set[str]:
    """A value, what it is moved into, and what the nodes that compute with it read and write, by name."""
    way, readers = _read(source)
    values = [*way, *(value for node in readers for value in (*node.inputs, *node.outputs) if value is not None)]
    return {value.name or "" for value in values}


def _read(source: ir.Value) -> tuple[list[ir.Value], list[ir.Node]]:
    """What a value is moved into, itself first, and the nodes that compute with that."""
    way, readers = {id(source): source}, []
    rest = [source]
    while rest:
        for use in rest.pop().uses():
            if not moves(use.node):
                readers.append(use.node)
                continue
            made = [value for value in use.node.outputs if id(value) not in way]
            way |= {id(value): value for value in made}
            rest += made
    return list(way.values()), readers
