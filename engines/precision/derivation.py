"""Deriving the graph that a builder reads from the FP32 graph of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from videoscene_rt.engines.activations import Activations, GraphActivations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import narrowed
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.precision.caches import HalfCaches
from videoscene_rt.engines.precision.calibrate import activation_ranges
from videoscene_rt.engines.precision.fp16 import to_typed
from videoscene_rt.engines.precision.int8 import insert_qdq, quantised_inputs, select_layers
from videoscene_rt.engines.precision.opset17 import lower
from videoscene_rt.engines.precision.overflow import wide_activations, wide_weights
from videoscene_rt.engines.precision.placement import Choice, computes, groups, place
from videoscene_rt.engines.precision.recipe import PRECISIONS, Recipe, recipe_for
from videoscene_rt.engines.precision.report import Derived, LayerGroup
from videoscene_rt.engines.precision.source import load_source, save_derived
from videoscene_rt.engines.rewrite import NotApplicable, Rewrite, apply

# QuantizeLinear takes float16 since this version; of what our graphs hold, nothing else changed since 18.
_OPSET_OF_HALF_SCALES = 19


def derive(
    bundle: Bundle,
    graph: str,
    precision: str,
    activations: Activations | None,
    out: Path,
    recipe: Recipe | None = None,
    rewrites: tuple[Rewrite, ...] = (),
) -> Derived:
    """See `videoscene_rt.engines.precision.derive`."""
    plan = _Plan.of(bundle, graph, precision, activations, recipe, rewrites)
    model = plan.model
    if precision == "fp32":
        save_derived(model, out)
        return Derived(out, precision, plan.report({}), notes=plan.notes, rewritten=plan.rewritten)
    if plan.layers:
        insert_qdq(model, plan.layers, plan.ranges, fold_weights=True)
        model.opset_imports[""] = max(model.opset_imports[""], _OPSET_OF_HALF_SCALES)
    choices = plan.choices()
    to_typed(model, choices, plan.half)
    _check_interface(bundle, graph, model, plan.half)
    save_derived(model, out)
    return Derived(out, precision, plan.report(choices), notes=plan.notes, rewritten=plan.rewritten, half=plan.half)


def derive_weak(
    bundle: Bundle,
    graph: str,
    precision: str,
    activations: Activations | None,
    out: Path,
    recipe: Recipe | None = None,
    rewrites: tuple[Rewrite, ...] = (),
) -> Derived:
    """See `videoscene_rt.engines.precision.derive_weak`."""
    plan = _Plan.of(bundle, graph, precision, activations, recipe, rewrites)
    if precision == "fp32":
        lower(plan.model)
        save_derived(plan.model, out)
        return Derived(out, precision, plan.report({}), notes=plan.notes, rewritten=plan.rewritten)
    if plan.layers:
        insert_qdq(plan.model, plan.layers, plan.ranges, fold_weights=False)
    choices = plan.choices()
    free = {name for name, choice in plan.layers.items() if choice.precision == "int8"}
    named = {
        node.name: choices[node.name].precision
        for node in plan.model.graph
        if node.name in choices and computes(node) and node.name not in free
    }
    lower(plan.model)
    save_derived(plan.model, out)
    return Derived(out, precision, plan.report(choices), named, plan.notes, plan.rewritten, plan.half)


class _Plan:
    """What both ways of deriving decide alike."""

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        precision: str,
        samples: GraphActivations | None,
        rewrites: tuple[Rewrite, ...],
        timesteps: tuple[int, ...],
        caches: HalfCaches | None = None,
    ) -> None:
        self._caches = caches
        self.half: tuple[str, ...] = ()
        self.model, self.recipe, self.precision = load_source(path), recipe, precision
        self.timesteps = timesteps
        self.layers: dict[str, Choice] = {}
        self.ranges: dict[str, float] = {}
        self.wide: dict[str, str] = {}
        self.notes: tuple[str, ...] = ()
        self.rewritten: tuple[str, ...] = ()
        if precision != "fp32" and samples is not None:
            self.wide = wide_activations(path, self.model, samples, recipe.overflow_margin)
        self._rewrite(path, rewrites)
        if precision == "int8" and recipe.int8 is not None and samples is not None:
            self.layers = select_layers(self.model, recipe.int8)
            names = quantised_inputs(self.model, self.layers)
            self.ranges = activation_ranges(path, names, samples, recipe.int8.percentile)

    def _rewrite(self, path: Path, rewrites: tuple[Rewrite, ...]) -> None:
        """Each rewrite that the graph's structure allows; the others are named, with the reason.

        A value that the overflow scan found must not vanish: what writes or reads it has to stay FP32.
        """
        done: list[Rewrite] = []
        for rewrite in rewrites:
            try:
                self.notes += (apply(rewrite, self.model, self.wide, self.timesteps),)
                done.append(rewrite)
            except NotApplicable as why:
                self.notes += (f"not rewritten ({rewrite.name}): {why}",)
                self.model = load_source(path)
                for earlier in done:
                    apply(earlier, self.model, self.wide, self.timesteps)
        self.rewritten = tuple(rewrite.name for rewrite in done)

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        graph: str,
        precision: str,
        activations: Activations | None,
        recipe: Recipe | None,
        rewrites: tuple[Rewrite, ...] = (),
    ) -> _Plan:
        found = recipe or recipe_for(graph)
        if precision not in PRECISIONS:
            raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
        if precision not in found.ceilings.values():
            own = ", ".join(dict.fromkeys(found.ceilings.values()))
            raise InputError(f"the recipe of graph {graph} knows {own}, not {precision}")
        path = bundle.graph_path(graph)
        samples = activations.graphs.get(graph) if activations is not None else None
        if precision == "int8" and (samples is None or not samples.samples):
            raise InputError(
                f"graph {graph} cannot be calibrated: no activations of it were recorded", "give scenes: --scenes DIR"
            )
        kept = samples if samples and samples.samples else None
        caches = None if precision == "fp32" else HalfCaches.of(bundle, graph, found, activations)
        return cls(path, found, precision, kept, rewrites, bundle.manifest.policy.timesteps, caches)

    def choices(self) -> dict[str, Choice]:
        """Where every node of the model, Q/DQ included, computes; with what is known then, which caches are FP16."""
        wide = dict(self.wide)
        choices = self._placed(wide)
        if self._caches is not None:
            self.half = self._caches.half(self.model.graph, choices, wide)
            choices = self._placed(wide)
        return choices

    def _placed(self, wide: dict[str, str]) -> dict[str, Choice]:
        choices = place(self.model, self.recipe, wide, self.half)
        misfits = wide_weights(self.model, choices)
        wide |= misfits
        return place(self.model, self.recipe, wide, self.half) if misfits else choices

    def report(self, choices: Mapping[str, Choice]) -> tuple[LayerGroup, ...]:
        if self.precision == "fp32":
            why = self.recipe.why or "FP32 was asked for"
            return (LayerGroup("**", "fp32", sum(1 for _ in self.model.graph), why),)
        return groups({name: self._said(name, choice) for name, choice in choices.items()})

    def _said(self, name: str, choice: Choice) -> Choice:
        layer = self.layers.get(name)
        if layer is None:
            return choice
        return Choice(layer.precision or choice.precision, layer.pattern, layer.why)


def _check_interface(bundle: Bundle, graph: str, model: ir.Model, half: tuple[str, ...]) -> None:
    spec = narrowed(bundle.graph(graph), half)
    documented = [(tensor.name, tensor.dtype) for tensor in (*spec.inputs, *spec.outputs)]
    found = [(value.name, value.dtype.numpy().name) for value in (*model.graph.inputs, *model.graph.outputs)]
    if found != documented:
        odd = next(pair for pair in zip(found, documented, strict=False) if pair[0] != pair[1])
        raise BackendError(f"graph {graph}: derived with {odd[0]} instead of {odd[1]}")
