"""What a derivation hands back: the file, and which layers got which precision, and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class LayerGroup:
    """``count`` nodes that share a precision ("fp32", "fp16", "int8") and a reason; ``pattern`` says which."""

    pattern: str
    precision: str
    count: int
    why: str


@dataclass(frozen=True)
class Derived:
    """A graph derived from the FP32 one.

    Attributes:
        path: the ONNX file; its weights lie beside it.
        precision: the graph's: "fp32", "fp16" or "int8".
        layers: the report, in the recipe's order.
        layer_precisions: for weakly typed builders, the precision ("fp32" or "fp16") of each node that must have one, by name;
            empty for strongly typed ones, whose types are in the graph.
        notes: which rewrites were done, and which were not and why.
        rewritten: names of those that were done.
        half: inputs and outputs that are FP16 now: caches, whose documented type is FP32.
    """

    path: Path
    precision: str
    layers: tuple[LayerGroup, ...]
    layer_precisions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()
    half: tuple[str, ...] = ()
