"""Every traced graph is run by ONNX Runtime and compared with its torch module on inputs that the tracing never saw."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import VsrtError
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend, OnnxRuntimeEngine
from videoscene_rt.engines.specs import GraphSpec, Parity
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.pixels import unrounded

_PIECE = 1 << 20

Arrays = Mapping[str, np.ndarray]


class ParityError(VsrtError):
    """A traced graph does not compute what its torch module does: a defect of the export, never of the input."""


def relative_l2(found: np.ndarray, expected: np.ndarray) -> float:
    """‖`deviation`‖₂ / ‖expected‖₂ in float64; the numerator alone where the reference is all zero.

    NaN or infinity anywhere gives infinity.
    """
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return float("inf")
    pieces = list(_pieces(found, expected))
    error = math.sqrt(math.fsum(float(np.square(deviation(a, b)).sum()) for a, b in pieces))
    norm = math.sqrt(math.fsum(float(np.square(b.astype(np.float64)).sum()) for _, b in pieces))
    return error / (norm or 1.0)


def deviation(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """found − expected in float64; where rounded bytes meet a reference that was not rounded, only what exceeds half a level."""
    difference = found.astype(np.float64) - expected.astype(np.float64)
    if found.dtype == np.uint8 and np.issubdtype(expected.dtype, np.floating):
        return np.sign(difference) * np.maximum(np.abs(difference) - 0.5, 0.0)
    return difference


def compare(found: Arrays, expected: Arrays, reference: str, limit: float) -> Parity:
    """The errors of every output that the reference has.

    Args:
        found: what the graph gave, by output name.
        expected: what the reference gave.
        reference: what that is, with its version.
        limit: the largest relative L2 error with which it passes.
    """
    return Parity(
        reference=reference,
        relative_l2={name: relative_l2(found[name], value) for name, value in expected.items()},
        max_abs={name: _largest(found[name], value) for name, value in expected.items()},
        limit=limit,
    )


def _largest(found: np.ndarray, expected: np.ndarray) -> float:
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return float("inf")
    return max((float(np.abs(deviation(a, b)).max()) for a, b in _pieces(found, expected)), default=0.0)


def _pieces(found: np.ndarray, expected: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both a piece at a time: in float64 a whole video takes gigabytes."""
    one, other = found.ravel(), expected.ravel()
    for start in range(0, one.size, _PIECE):
        yield one[start : start + _PIECE], other[start : start + _PIECE]


def require(parity: Parity, name: str) -> Parity:
    """Give the parity back if it is within its limit.

    Raises:
        ParityError: it is not; the worst output and its figure are named.
    """
    worst = max(parity.relative_l2, key=lambda output: parity.relative_l2[output])
    error = parity.relative_l2[worst]
    if not error <= parity.limit:
        raise ParityError(
            f"graph {name}: output {worst} is off by a relative L2 of {error:.2e} against {parity.reference}; "
            f"the limit is {parity.limit:.0e}",
            "nothing was written; please report this with the versions of torch, onnx and onnxruntime (vsrt doctor --json)",
        )
    return parity


Run = Callable[[Path, GraphSource, Arrays], dict[str, np.ndarray]]
"""Runs an ONNX file once: file, what it was traced from, inputs by name → outputs by name."""


def prove(source: GraphSource, path: Path, seed: int = 1, run: Run | None = None) -> Parity:
    """Run a traced graph beside its module on fresh random inputs.

    Args:
        source: the graph and its module, which may lie on the meta device.
        path: the ONNX file.
        seed: for the inputs; the tracing saw none.
        run: how the file is run; by default whole, through the engine that the runtime uses.

    Raises:
        ParityError: see `require`.
    """
    inputs = source.example(np.random.default_rng(seed))
    with torch.no_grad(), unrounded(), source.numbers.present(source.module):
        expected = source.module.eval()(*inputs)
    outputs = (expected,) if isinstance(expected, torch.Tensor) else expected
    found = (run or run_file)(
        path, source, {spec.name: value.numpy() for spec, value in zip(source.inputs, inputs, strict=True)}
    )
    reference = {spec.name: value.numpy() for spec, value in zip(source.outputs, outputs, strict=True)}
    return require(compare(found, reference, f"torch {torch.__version__}", source.parity_limit), source.name)


def run_file(path: Path, source: GraphSource, inputs: Arrays) -> dict[str, np.ndarray]:
    """Run an ONNX file once on ONNX Runtime's CPU provider, through the engine that the runtime uses."""
    unproved = Parity(reference="none", relative_l2={}, max_abs={}, limit=source.parity_limit)
    spec = GraphSpec(
        name=source.name,
        file=path.name,
        opset=0,
        inputs=source.inputs,
        outputs=source.outputs,
        state=source.state,
        parity=unproved,
    )
    return run_engine(OnnxRuntimeEngine(OnnxRuntimeBackend().session(str(path)), spec), inputs)


def run_engine(engine: OnnxRuntimeEngine, inputs: Arrays) -> dict[str, np.ndarray]:
    """Run an engine once over fresh memory; the outputs by name."""
    context = engine.context()
    memory = {spec.name: np.ascontiguousarray(inputs[spec.name]) for spec in engine.spec.inputs}
    results = {spec.name: np.empty(spec.shape, spec.dtype) for spec in engine.spec.outputs}
    for name, array in (*memory.items(), *results.items()):
        context.bind(name, TensorView.of_numpy(array))
    context.enqueue()
    return results
