"""Running ONNX files in tests, and how far what they give is from a reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx.reference import ReferenceEvaluator

from videoscene_rt.engines.activations import GraphActivations

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Distance:
    """‖a − b‖ / ‖b‖ and the cosine of the angle between them."""

    relative_l2: float
    cosine: float


def run_onnx(path: Path, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    """One run on ONNX Runtime's CPU provider; caches are rounded to FP16 where the graph takes them so."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    halves = {one.name for one in session.get_inputs() if one.type == "tensor(float16)"}
    given = {name: array.astype(np.float16) if name in halves else array for name, array in inputs.items()}
    return dict(zip(names, session.run(names, given), strict=True))


def run_rounding(path: Path, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
    """One run on ONNX's reference evaluator, which rounds every FP16 value to FP16.

    ONNX Runtime's CPU provider computes neighbouring FP16 nodes in FP32 and leaves out the rounding between them.
    """
    evaluator = ReferenceEvaluator(str(path))
    with np.errstate(over="ignore", invalid="ignore"):
        return dict(zip(evaluator.output_names, evaluator.run(None, dict(inputs)), strict=True))


def distance(found: npt.NDArray[Any], reference: npt.NDArray[Any]) -> Distance:
    """Of two arrays, in float64."""
    a, b = found.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    if np.array_equal(a, b):
        return Distance(0.0, 1.0)
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return Distance(float(np.linalg.norm(a - b) / np.linalg.norm(b)), float(a @ b / norms))


def worst(path: Path, activations: GraphActivations) -> dict[str, Distance]:
    """For each output of a graph the largest distance and the smallest cosine over all samples."""
    found: dict[str, Distance] = {}
    for sample in activations.samples:
        for name, array in run_onnx(path, sample.inputs).items():
            one = distance(array, sample.outputs[name])
            before = found.get(name, one)
            found[name] = Distance(max(before.relative_l2, one.relative_l2), min(before.cosine, one.cosine))
    return found
