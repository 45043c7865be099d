"""A torch module becomes an ONNX file: traced, cleaned of this machine's traces, its nodes named after the modules they come from."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch

from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.weights import WeightFile

OPSET = 18


def trace(source: GraphSource, path: Path, weights: WeightFile) -> None:
    """Trace a graph and write it, its larger weights in the family's file.

    Args:
        source: what to trace.
        path: the ONNX file to write, in the bundle's folder.
        weights: the family's weight file, in the same folder.
    """
    example = source.example(np.random.default_rng(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations; what matters is checked by parity
        _quiet()
        program = torch.onnx.export(
            source.module.eval(),
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=[spec.name for spec in source.inputs],
            output_names=[spec.name for spec in source.outputs],
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model = program.model
    _clean(model, source.name)
    weights.take(model)
    ir.save(model, path)


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
