"""What the chunks of an autoencoder hand on to one another, and in which type an engine has it.

A graph keeps its documented types; a cache is the chain's own, and an engine of FP16 may read and write it in FP16
(`videoscene_rt.engines.precision.caches` says which). Two graphs have to agree on it: the first chunk's writes what the next one's reads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.specs import GraphSpec, TensorSpec

_FIRST, _NEXT = "_first", "_next"


@dataclass(frozen=True)
class Caches:
    """The caches of a chunk's graph.

    Attributes:
        reader: the graph that reads them, in the next chunk.
        sources: of each input and output of this graph that is a cache, the reader's input that it is or becomes.
    """

    reader: str
    sources: dict[str, str]

    def of(self, inputs: Collection[str]) -> tuple[str, ...]:
        """The tensors of this graph that are some of the reader's inputs, or become them; in its order."""
        return tuple(name for name, source in self.sources.items() if source in inputs)


def caches_of(graphs: Mapping[str, GraphSpec], graph: str) -> Caches | None:
    """The caches of a graph of a bundle; None where it is no chunk's, or its reader is not there."""
    verb = graph.removesuffix(_FIRST).removesuffix(_NEXT)
    reader, own = graphs.get(f"{verb}{_NEXT}"), graphs.get(graph)
    if verb == graph or reader is None or own is None:
        return None
    names = {tensor.name for tensor in (*own.inputs, *own.outputs)}
    pairs = [pair for output, source in reader.state.items() for pair in ((source, source), (output, source))]
    return Caches(reader.name, {name: source for name, source in pairs if name in names})


def as_built(bundle: Bundle, graph: str, half: Collection[str]) -> GraphSpec:
    """What an engine of a graph takes and gives: as documented, but for caches that it has in FP16.

    Args:
        bundle: whose graph.
        graph: its name.
        half: tensors that are float16 in the engine; those that are no caches keep their documented type, and loading refuses the engine.

    Raises:
        InputError: the bundle has no such graph.
    """
    spec, caches = bundle.graph(graph), caches_of(bundle.manifest.graphs, graph)
    found = set() if caches is None else caches.sources.keys() & set(half)
    return narrowed(spec, found)


def narrowed(spec: GraphSpec, half: Collection[str]) -> GraphSpec:
    """A specification with some of its tensors in float16."""

    def typed(tensors: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
        return tuple(one.model_copy(update={"dtype": "float16"}) if one.name in half else one for one in tensors)

    return spec.model_copy(update={"inputs": typed(spec.inputs), "outputs": typed(spec.outputs)}) if half else spec
