"""What attention reads and writes inside a derived student, block by block, against the FP32 reference: where it goes wrong, in one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from videoscene_rt.engines.activations import Arrays, GraphActivations, Sample
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision.observe import whole_values
from videoscene_rt.engines.precision.source import load_source, save_derived
from videoscene_rt.engines.rewrite.attention_as_plugin import rewrite
from videoscene_rt.engines.specs import GraphSpec, TensorSpec


@dataclass(frozen=True)
class Inside:
    """The names of a block's queries, keys, values [B,H,N,64] and of what attention makes of them, and its scale."""

    query: str
    key: str
    value: str
    out: str
    scale: float

    @property
    def names(self) -> tuple[str, ...]:
        """All four."""
        return self.query, self.key, self.value, self.out


def insides(bundle: Bundle) -> tuple[Inside, ...]:
    """One for each block of a bundle's student, whose attention can be the plug-in's; the traced graph has values of the same names."""
    model = load_source(bundle.graph_path("student"))
    rewrite(model)
    nodes = [node for node in model.graph if node.op_type == "VideoSceneAttention"]
    return tuple(
        Inside(*(str(value.name) for value in (*node.inputs, *node.outputs)), node.attributes.get_float("scale"))  # type: ignore[union-attr]
        for node in nodes
    )


def expose(path: Path, out: Path, found: tuple[Inside, ...]) -> tuple[TensorSpec, ...]:
    """Write a derived graph that has these values as outputs too; what they are there."""
    model = ir.load(path)
    values = {value.name: value for node in model.graph for value in node.outputs}
    specs = []
    for name in dict.fromkeys(name for one in found for name in one.names):
        value = values[name]
        assert value.dtype is not None
        assert value.shape is not None
        specs.append(TensorSpec(name=name, dtype=value.dtype.numpy().name, shape=value.shape.numpy(), meaning="inside"))
        model.graph.outputs.append(value)
    save_derived(model, out)
    return tuple(specs)


def with_outputs(spec: GraphSpec, more: tuple[TensorSpec, ...]) -> GraphSpec:
    """A graph's specification with more outputs."""
    return spec.model_copy(update={"outputs": (*spec.outputs, *more)})


def reference(bundle: Bundle, found: tuple[Inside, ...], feed: Arrays) -> Arrays:
    """The same values of the FP32 graph, on ONNX Runtime's CPU provider."""
    names = dict.fromkeys(name for one in found for name in one.names)
    activations = GraphActivations("student", (Sample("one", feed, {}),))
    return {name: runs[0] for name, runs in whole_values(bundle.graph_path("student"), names, activations)}


def table(found: tuple[Inside, ...], got: Arrays, right: Arrays) -> list[dict[str, float]]:
    """For each block the relative L2 of all four against the reference, and of "alone": the result against attention of the very
    queries, keys and values that were found, in float64. A block whose "alone" is small attends rightly; what it is given is then wrong."""
    rows = []
    for one in found:
        row = {what: _distance(got[name], right[name]) for what, name in zip(_WHAT, one.names, strict=True)}
        exact = _attend(got[one.query], got[one.key], got[one.value], one.scale)
        rows.append({**row, "alone": _distance(got[one.out], exact)})
    return rows


def spelt(rows: list[dict[str, float]]) -> str:
    """The table as text."""
    lines = (" ".join(f"{what} {figure:.1e}" for what, figure in row.items()) for row in rows)
    return "\n".join(f"block {number}: {line}" for number, line in enumerate(lines))


_WHAT = ("query", "key", "value", "out")


def _attend(query: Any, key: Any, value: Any, scale: float) -> npt.NDArray[np.float64]:
    out = np.empty(query.shape, np.float64)
    for index in np.ndindex(*query.shape[:2]):
        q, k, v = (np.asarray(one[index], np.float64) for one in (query, key, value))
        scores = q @ k.T * scale
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        out[index] = weights / weights.sum(-1, keepdims=True) @ v
    return out


def _distance(found: Any, right: Any) -> float:
    one, other = (np.asarray(each, np.float64) for each in (found, right))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
