"""One graph of an item in the form that a runtime takes: rewritten, in its precision, a shared block with its weights as inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.bench.published.engines.handed import Handed
from videoscene_rt.bench.published.engines.item import Runtime
from videoscene_rt.engines.caches import narrowed
from videoscene_rt.engines.precision import Derived, derive, derive_weak, graph_precision, recipe_for
from videoscene_rt.engines.rewrite import Rewrite, rewrites_for
from videoscene_rt.engines.specs import GraphSpec, TensorSpec

OPERATOR = Rewrite(
    name="attention_as_operator",
    version=1,
    graphs=("student",),
    backends=("onnxruntime-cuda",),
    why="the scores of 17,776 tokens are more than 2^31 numbers",
)
"""What ONNX Runtime's student is rewritten by here; no bundle's engine is, until it was measured."""
_CEILING = "fp16"
_STUDENT = "student"


@dataclass(frozen=True)
class DerivedGraph:
    """A graph to build or to run; see `videoscene_rt.engines.precision.Derived`.

    Attributes:
        spec: what it takes and gives now. weights: which weight each of its inputs is that was one.
        needs_plugin: it has the plug-in's op. half: caches that are FP16, for a builder that takes types as hints.
    """

    path: Path
    spec: GraphSpec
    precision: str
    layer_precisions: dict[str, str]
    weights: dict[str, str]
    needs_plugin: bool
    half: tuple[str, ...]
    notes: tuple[str, ...]


def derive_graph(
    handed: Handed, folder: Path, graph: str, out: Path, *, runtime: Runtime, weak: bool, plugin: bool, rewrites: bool
) -> DerivedGraph:
    """Derive a graph in FP16, or in what its recipe gives it under that ceiling.

    Args:
        handed: the item. folder: its. graph: one of its graphs. out: the ONNX file to write.
        runtime: whose rewrites. weak: for a builder that takes types as hints.
        plugin: whether it has the plug-in. rewrites: False leaves the graph as it was traced.

    Raises:
        BackendError: it cannot be derived.
    """
    name = _STUDENT if graph.startswith(_STUDENT) else graph
    precision, recipe = graph_precision(name, _CEILING), recipe_for(name)
    wanted = _rewrites(name, runtime, plugin) if rewrites else ()
    bundle = handed.bundle(folder)
    shared = graph == "student_block"
    make = derive_weak if weak and not shared else derive
    derived = make(bundle, graph, precision, None, out, recipe=recipe, rewrites=wanted)
    spec, layers = narrowed(bundle.graph(graph), derived.half), derived.layer_precisions
    weights: dict[str, str] = {}
    if shared:
        spec, layers, weights = _shared(handed, spec, derived, weak)
    needs = any(one.needs == "plugin" and one.name in derived.rewritten for one in wanted)
    half = derived.half if weak else ()
    return DerivedGraph(out, spec, precision, layers, weights, needs, half, derived.notes)


def _rewrites(name: str, runtime: Runtime, plugin: bool) -> tuple[Rewrite, ...]:
    if runtime == "tensorrt":
        return rewrites_for(name, "tensorrt", plugin=plugin)
    return (OPERATOR,) if name == _STUDENT else rewrites_for(name, runtime)


def _shared(
    handed: Handed, spec: GraphSpec, derived: Derived, weak: bool
) -> tuple[GraphSpec, dict[str, str], dict[str, str]]:
    """The typed block with its weights as inputs. A builder that takes types as hints gets them beside the graph too, in opset 17."""
    from videoscene_rt.engines.rewrite.weights_as_inputs import share

    found, layers = share(derived.path, {one.name for one in handed.block_weights}, weak=weak)
    more = tuple(
        TensorSpec(name=one.name, dtype=one.dtype, shape=one.shape, meaning=one.weight)  # type: ignore[arg-type]  # fp32 or fp16
        for one in found
    )
    return spec.model_copy(update={"inputs": (*spec.inputs, *more)}), layers, {one.name: one.weight for one in found}
