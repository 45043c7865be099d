"""A torch module becomes an ONNX file: traced without its weights, its nodes named after the modules they come from.

The module may lie on the meta device, where it has shapes and no numbers: a trace needs no more, and a graph is the same
whether its weights are in memory or not. The weights are put in last, one at a time.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir
import torch

from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.numbers import View, weightless
from videoscene_rt.export.quick_match import first_operators_first
from videoscene_rt.export.translations import remembered_translations
from videoscene_rt.export.weight_views import fold_views
from videoscene_rt.export.weights import Stored, WeightFile

OPSET = 18
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "uint8": torch.uint8, "int32": torch.int32}


@dataclass(frozen=True)
class Traced:
    """A graph without its weights.

    Attributes:
        source: what was traced.
        model: the graph; the initializers that stand for tensors of the module have a name, a shape and no value.
        views: which tensor each of those stands for, by the initializer's name.
        names: of the module's tensors, by identity.
    """

    source: GraphSource
    model: ir.Model
    views: dict[str, View]
    names: dict[int, str]

    def write(self, path: Path, weights: WeightFile, on_bytes: Callable[[int], None] = lambda count: None) -> Stored:
        """Write the graph, its larger weights in the family's file; the graph here has its weights after that.

        Args:
            path: the ONNX file to write, in the bundle's folder.
            weights: the family's weight file, in the same folder.
            on_bytes: told the bytes of each weight when it is written.

        Returns:
            Where each weight is, by the name of the initializer that stood for it.
        """
        stored = weights.take(self.model, self.readers(), on_bytes)
        ir.save(self.model, path)
        return stored

    def readers(self) -> dict[str, Callable[[], torch.Tensor]]:
        """What gives the numbers of each initializer without a value."""
        return {name: self._reader(view) for name, view in self.views.items()}

    def _reader(self, view: View) -> Callable[[], torch.Tensor]:
        return lambda: view.apply(self.source.numbers.read(view.tensor))


def trace(source: GraphSource, path: Path, weights: WeightFile) -> None:
    """Trace a graph and write it; see `Traced.write`."""
    structure(source).write(path, weights)


def structure(source: GraphSource) -> Traced:
    """Trace a graph without its weights."""
    shell, tensors = weightless(source.module.eval())
    example = tuple(torch.empty(spec.shape, dtype=_DTYPES[spec.dtype], device="meta") for spec in source.inputs)
    with torch.no_grad(), remembered_translations(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations; what matters is checked by parity
        _quiet()
        program = torch.onnx.export(
            shell,
            example,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=[spec.name for spec in source.inputs],
            output_names=[spec.name for spec in source.outputs],
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program")
        for value in program.model.graph.initializers.values():
            if value.name in tensors:
                value.const_value = None  # the optimiser would fold, compare and copy what it can see
        with first_operators_first():
            program.optimize()
    model = program.model
    views = fold_views(model, {name: View.whole(tensor) for name, tensor in tensors.items()})
    _clean(model, source.name)
    return Traced(source, model, views, {id(tensor): name for name, tensor in tensors.items()})


def _quiet() -> None:
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _clean(model: ir.Model, name: str) -> None:
    """Drop stack traces (they hold paths of this machine) and name each node ``module.path/Op``."""
    model.graph.name = name
    model.graph.doc_string = None
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    taken: Counter[str] = Counter()
    for node in model.graph:
        base = f"{_scope(node)}/{node.op_type}"
        taken[base] += 1
        node.name = base if taken[base] == 1 else f"{base}_{taken[base]}"
        node.doc_string = None
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None


def _scope(node: ir.Node) -> str:
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    names = [part.strip(" '\"") for part in scopes.strip("[]").split(",")]
    inner = [part for part in names if part]
    return inner[-2] if len(inner) > 1 else "graph"
