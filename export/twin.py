"""A small twin of a large preset: the same weights, blocks and frames over a smaller picture, on which everything can be run.

A graph of the large preset and its twin's are held against each other node by node (`agree`): what is proved of the twin is proved of the
large graph but for its sizes, and those may differ only as the pictures do.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx_ir as ir

from videoscene_rt.engines.preset import PATCH, SPATIAL_COMPRESSION, Preset
from videoscene_rt.export.numbers import View
from videoscene_rt.export.tracing import Traced

POINTS = 20_000
_STEP = SPATIAL_COMPRESSION * PATCH
_TABLES = ("rope_cos", "rope_sin", "pos_embedding")
"""Tensors of the student with a row for each token: the twin has its own."""


class TwinError(Exception):
    """A graph and its twin's are not the same; where, in words."""


def twin_preset(preset: Preset) -> Preset:
    """The preset over the smallest picture whose height and width shrink by different ratios."""
    height = min(preset.height, 2 * _STEP)
    widths = [width for width in (3 * _STEP, 5 * _STEP, 4 * _STEP) if width <= preset.width] or [preset.width]
    ratio = Fraction(preset.height, height)
    width = next((width for width in widths if Fraction(preset.width, width) != ratio), widths[0])
    points = min(preset.max_points, POINTS)
    return preset.model_copy(update={"height": height, "width": width, "max_points": points})


@dataclass(frozen=True)
class Scales:
    """By what an integer of a large graph may be larger than its twin's.

    Attributes:
        ratios: of heights, of widths, of areas.
        texts: text tokens, which stand before the video's in one axis.
        padded: rows or columns with the one more that a convolution of stride 2 sees: the twin's, the large one's.
    """

    ratios: frozenset[Fraction]
    texts: int
    padded: frozenset[tuple[int, int]]

    @classmethod
    def between(cls, twin: Preset, large: Preset) -> Scales:
        """The scales of a preset against its twin."""
        sides = ((twin.height, large.height), (twin.width, large.width))
        high, wide = (Fraction(b, a) for a, b in sides)
        levels = (1, 2, 4)  # the encoder halves pictures three times
        padded = frozenset((a // level + 1, b // level + 1) for a, b in sides for level in levels)
        return cls(frozenset((Fraction(1), high, wide, high * wide)), large.student.text_tokens, padded)

    def allow(self, small: int, large: int) -> bool:
        """Whether the larger graph may have ``large`` where the twin has ``small``."""
        if small == large or (small, large) in self.padded:
            return True
        pairs = ((small, large), (small - self.texts, large - self.texts))
        return any(a > 0 and Fraction(b, a) in self.ratios for a, b in pairs)


@dataclass(frozen=True)
class Agreement:
    """What was found the same in a graph and its twin's.

    Attributes:
        nodes: how many there are.
        weights: how many tensors of the module both read, the same in the same places.
        scaled: how many integers are larger as the picture is.
        shared: the large graph's initializer for each of the twin's that holds the same, by name.
    """

    nodes: int
    weights: int
    scaled: int
    shared: dict[str, str]


@dataclass(frozen=True)
class Matching:
    """A graph's twin, traced, and what was found the same in both."""

    twin: Traced
    agreement: Agreement


def agree(twin: Traced, large: Traced, scales: Scales) -> Agreement:
    """Hold a graph against its twin's.

    Raises:
        TwinError: they differ in more than sizes that are larger as the picture is.
    """
    small_nodes, large_nodes = list(twin.model.graph), list(large.model.graph)
    if len(small_nodes) != len(large_nodes):
        raise TwinError(f"it has {len(large_nodes)} nodes, its twin {len(small_nodes)}")
    return _Walk(twin, large, scales).over(small_nodes, large_nodes)


class _Walk:
    """Two graphs side by side, from their inputs to their outputs."""

    def __init__(self, twin: Traced, large: Traced, scales: Scales) -> None:
        self.twin, self.large, self.scales = twin, large, scales
        self.same: dict[str, str] = {}
        self.shared: dict[str, str] = {}
        self.scaled = 0
        for small, big in zip(twin.model.graph.inputs, large.model.graph.inputs, strict=True):
            self._pair(small, big)

    def over(self, small_nodes: list[ir.Node], large_nodes: list[ir.Node]) -> Agreement:
        for small, big in zip(small_nodes, large_nodes, strict=True):
            where = f"node {big.name}"
            if (small.domain, small.op_type, len(small.inputs)) != (big.domain, big.op_type, len(big.inputs)):
                raise TwinError(f"{where} is {big.op_type}, its twin's {small.op_type}")
            if _attributes(small) != _attributes(big):
                raise TwinError(f"{where}: {_attributes(big)}, its twin's {_attributes(small)}")
            for one, other in zip(small.inputs, big.inputs, strict=True):
                self._check(one, other, where)
            for one, other in zip(small.outputs, big.outputs, strict=True):
                self._pair(one, other)
        for one, other in zip(self.twin.model.graph.outputs, self.large.model.graph.outputs, strict=True):
            self._check(one, other, "an output")
        weights = len({id(self.large.views[name].tensor) for name in self.shared.values() if name in self.large.views})
        return Agreement(len(large_nodes), weights, self.scaled, self.shared)

    def _pair(self, small: ir.Value, big: ir.Value) -> None:
        self.same[small.name or ""] = big.name or ""

    def _check(self, small: ir.Value | None, big: ir.Value | None, where: str) -> None:
        if small is None or big is None:
            if small is not big:
                raise TwinError(f"{where} leaves an input out that its twin's has, or the other way round")
            return
        name, other = small.name or "", big.name or ""
        if name in self.same:
            if self.same[name] != other:
                raise TwinError(f"{where} reads {other}, its twin's {name}")
        elif name in self.twin.views or other in self.large.views:
            self._weight(name, other, where)
        else:
            self._constant(small, big, where)

    def _weight(self, name: str, other: str, where: str) -> None:
        one, two = self.twin.views.get(name), self.large.views.get(other)
        known = self._tensor(self.twin, one), self._tensor(self.large, two)
        if one is None or two is None or known[0] != known[1] or one.permutation != two.permutation:
            raise TwinError(f"{where} reads the weight {known[1]}, its twin's {known[0]}")
        if known[0].rpartition(".")[2] not in _TABLES:
            if one.shape != two.shape:
                raise TwinError(f"{where}: the weight {known[1]} is {list(two.shape)}, its twin's {list(one.shape)}")
            self.shared[name] = other

    @staticmethod
    def _tensor(traced: Traced, view: View | None) -> str:
        return "nothing" if view is None else traced.names[id(view.tensor)]

    def _constant(self, small: ir.Value, big: ir.Value, where: str) -> None:
        if small.const_value is None or big.const_value is None:
            raise TwinError(f"{where} reads {big.name}, its twin's {small.name}")
        one, two = small.const_value.numpy(), big.const_value.numpy()
        if one.dtype != two.dtype or one.shape != two.shape:
            raise TwinError(f"{where}: the constant {big.name} is {two.dtype}{list(two.shape)}, its twin's {one.shape}")
        if np.array_equal(one, two):
            return
        pairs = list(zip(one.ravel().tolist(), two.ravel().tolist(), strict=True))
        if one.dtype != np.int64 or not all(self.scales.allow(a, b) for a, b in pairs):
            raise TwinError(f"{where}: the constant {big.name} is {two.tolist()}, its twin's {one.tolist()}")
        self.scaled += sum(a != b for a, b in pairs)


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {
        name: value.value.numpy().tolist() if value.type == ir.AttributeType.TENSOR else value.value
        for name, value in node.attributes.items()
    }
