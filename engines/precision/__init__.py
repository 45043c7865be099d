"""Precision as a graph: recipes as data, and the FP16 and INT8 graphs derived from the FP32 one. ONNX is imported when it is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from videoscene_rt.engines.precision.recipe import PRECISIONS, Recipe, graph_precision, recipe_digest, recipe_for
from videoscene_rt.engines.precision.report import Derived, LayerGroup

if TYPE_CHECKING:
    from videoscene_rt.engines.activations import Activations
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.rewrite import Rewrite

__all__ = [
    "PRECISIONS",
    "Derived",
    "LayerGroup",
    "Recipe",
    "derive",
    "derive_weak",
    "graph_precision",
    "recipe_digest",
    "recipe_for",
]


def derive(
    bundle: Bundle,
    graph: str,
    precision: str,
    activations: Activations | None,
    out: Path,
    recipe: Recipe | None = None,
    rewrites: tuple[Rewrite, ...] = (),
) -> Derived:
    """Derive a graph for strongly typed builders (TensorRT 10.3 and later, TensorRT-RTX) and for ONNX Runtime.

    FP16: every value has the type it is computed in. INT8: Q/DQ around the linear layers the recipe names, FP16 and FP32
    elsewhere. FP32: a copy. Inputs and outputs keep their documented names and types; the same arguments give the same bytes.

    Args:
        bundle: where the FP32 graph is.
        graph: its name.
        precision: its own, from `graph_precision`: "fp32", "fp16" or "int8".
        activations: for the overflow scan and for calibration; None skips the scan of activations and cannot do INT8.
        out: the ONNX file to write; its weights go to ``out`` + ".data" beside it.
        recipe: instead of the package's.
        rewrites: done first, from `rewrite.rewrites_for`; what a graph's structure does not allow is left out and noted.

    Raises:
        InputError: the bundle has no such graph, its recipe no such precision, or INT8 lacks activations.
        BackendError: the graph cannot be derived.
    """
    from videoscene_rt.engines.precision import derivation

    return derivation.derive(bundle, graph, precision, activations, out, recipe, rewrites)


def derive_weak(
    bundle: Bundle,
    graph: str,
    precision: str,
    activations: Activations | None,
    out: Path,
    recipe: Recipe | None = None,
    rewrites: tuple[Rewrite, ...] = (),
) -> Derived:
    """Derive a graph for TensorRT 8.6, which takes types as hints: FP32 throughout, with FP32 Q/DQ for INT8, in opset 17.

    A graph that needs opset 18 (the renderer: a scatter with a reduction) stays in it; 8.6 cannot build that one.

    Arguments and errors as for `derive`. `Derived.layer_precisions` names the precision of each node that computes, INT8 layers
    apart (their Q/DQ says it), for the builder to obey.
    """
    from videoscene_rt.engines.precision import derivation

    return derivation.derive_weak(bundle, graph, precision, activations, out, recipe, rewrites)
