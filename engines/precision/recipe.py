"""Recipes: which precision each graph and each of its nodes gets, and why. Data, in recipes/*.json; no ONNX here."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.precision.patterns import matches

Precision = Literal["fp32", "fp16", "int8"]
FloatPrecision = Literal["fp32", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

# Raised whenever the same recipe begins to give another graph, or another plan of it: the builder is configured otherwise.
DERIVATION = 2


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Selection(_Data):
    """Nodes by name (see `patterns.matches`) and, if given, by operator; ``why`` is what the report says of them."""

    nodes: str
    ops: tuple[str, ...] = ()
    why: str

    def selects(self, name: str, op: str) -> bool:
        """Whether it names this node."""
        return (not self.ops or op in self.ops) and matches(self.nodes, name)


class Rule(Selection):
    """The precision that some nodes compute in when the graph is FP16 or INT8. The first rule that names a node decides."""

    precision: FloatPrecision


class NarrowCaches(_Data):
    """Graphs of chunks whose caches are FP16 under FP16, where that changes no number (see `precision.caches`)."""

    graphs: tuple[str, ...]
    why: str


class Ends(_Data):
    """Blocks at both ends that keep their precision under INT8: a block's number follows ``prefix`` in its nodes' names.

    At each end it is one block in ``one_in`` (rounded up), but never so many that none is left between.
    """

    prefix: str
    one_in: int = Field(ge=1)
    why: str

    def kept(self, blocks: int) -> frozenset[int]:
        """The numbers of the blocks that keep their precision, of so many."""
        count = min(-(-blocks // self.one_in), max(blocks - 1, 0) // 2)
        return frozenset((*range(count), *range(blocks - count, blocks)))


class Int8(_Data):
    """Which linear layers (a matrix product with constant weights) become INT8.

    ``keep`` comes first: what it names keeps its precision; of the rest, what ``quantize`` names becomes INT8.
    """

    percentile: float = Field(gt=50, le=100, description="of |x|, what an activation's largest INT8 value stands for")
    keep: tuple[Selection, ...]
    ends: Ends
    quantize: tuple[Selection, ...]


class Recipe(_Data):
    """One family of graphs.

    Attributes:
        graphs: names or patterns.
        ceilings: each graph's own precision under each ceiling.
        why: why the graphs keep below a ceiling, where they do.
        overflow_margin: an activation whose magnitude comes within this factor of FP16's largest number stays FP32.
        rules: for FP16 and INT8, in order; a node that none names takes FP16.
        int8: for INT8.
        half_caches: for FP16.
    """

    graphs: tuple[str, ...]
    ceilings: dict[Precision, Precision]
    why: str
    overflow_margin: float = Field(default=4.0, ge=1)
    rules: tuple[Rule, ...] = ()
    int8: Int8 | None = None
    half_caches: NarrowCaches | None = None

    def narrows_caches(self, graph: str) -> bool:
        """Whether a graph's caches may be FP16."""
        return self.half_caches is not None and any(matches(pattern, graph) for pattern in self.half_caches.graphs)


@lru_cache(maxsize=1)
def recipes() -> tuple[Recipe, ...]:
    """Every recipe that comes with the package, by file name."""
    folder = resources.files(__package__) / "recipes"
    files = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".json")), key=lambda entry: entry.name)
    return tuple(Recipe.model_validate_json(entry.read_text(encoding="utf-8")) for entry in files)


def recipe_for(graph: str) -> Recipe:
    """The recipe of a graph.

    Raises:
        InputError: there is none.
    """
    for recipe in recipes():
        if any(matches(pattern, graph) for pattern in recipe.graphs):
            return recipe
    raise InputError(f"there is no precision recipe for graph {graph!r}")


def graph_precision(graph: str, ceiling: str) -> str:
    """What a graph gets under a ceiling, "fp32", "fp16" or "int8".

    Raises:
        InputError: there is no such precision, or no recipe for the graph.
    """
    for known, own in recipe_for(graph).ceilings.items():
        if known == ceiling:
            return own
    raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, not {ceiling!r}")


def recipe_digest(
    graph: str, precision: str, recipe: Recipe | None = None, rewrites: Collection[tuple[object, ...]] = ()
) -> str:
    """Hex SHA-256 over everything that decides how a graph of this precision is derived, activations apart.

    Args:
        graph: the graph's name.
        precision: the graph's own, as `graph_precision` gives it.
        recipe: instead of the package's.
        rewrites: of each that is done first, from `rewrite.marks`.
    """
    found = recipe or recipe_for(graph)
    used: dict[str, object] = {"derivation": DERIVATION, "precision": precision}
    if precision != "fp32":
        used["rules"] = [rule.model_dump(mode="json", exclude={"why"}) for rule in found.rules]
        used["overflow_margin"] = found.overflow_margin
        if found.narrows_caches(graph):
            used["caches"] = "fp16"
    if precision == "int8" and found.int8 is not None:
        used["int8"] = _without_reasons(found.int8.model_dump(mode="json"))
    if rewrites:
        used["rewrites"] = [list(one) for one in rewrites]
    return text_sha256([json.dumps(used, sort_keys=True)])


def _without_reasons(data: object) -> object:
    if isinstance(data, dict):
        return {key: _without_reasons(value) for key, value in data.items() if key != "why"}
    if isinstance(data, list | tuple):
        return [_without_reasons(item) for item in data]
    return data
