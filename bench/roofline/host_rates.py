"""The processor's own rates: a copy by all cores, and a matrix product by ONNX Runtime, which runs the graphs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from videoscene_rt.bench.roofline.facts import Rates

_COPY_BYTES, _SIZE = 64 << 20, 1024
_FEWEST, _LENGTH_S = 3, 0.4


def host_rates(device: str, threads: int | None = None) -> Rates:
    """Measure this processor: the best of a few.

    Args:
        device: its name.
        threads: how many may work; all of this process's cores if not given.

    Raises:
        ImportError: onnx or onnxruntime is not installed.
    """
    count = threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return Rates(
        device=device,
        bytes_per_s=copy_rate(count),
        operations_per_s={"fp32": matrix_rate(count)},
        how=f"measured: {count} threads copying {_COPY_BYTES >> 20} MiB each; ONNX Runtime's MatMul of {_SIZE}×{_SIZE}",
    )


def copy_rate(threads: int, nbytes: int = _COPY_BYTES) -> float:
    """Bytes a second, read and written, of so many threads that copy at once."""
    pairs = [(np.zeros(nbytes, np.uint8), np.ones(nbytes, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = _best(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))
    return 2 * nbytes * threads / seconds


def matrix_rate(threads: int, size: int = _SIZE) -> float:
    """Operations a second of a product of two float32 matrices of so many rows and columns."""
    session = _matmul_session(threads, size)
    feed = {name: np.random.default_rng(0).standard_normal((size, size), np.float32) for name in ("a", "b")}
    return 2 * size**3 / _best(lambda: session.run(None, feed))


def _matmul_session(threads: int, size: int) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    a, b, c = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [size, size]) for name in "abc")
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "matmul", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _best(work: Callable[[], object]) -> float:
    work()
    found: list[float] = []
    while len(found) < _FEWEST or sum(found) < _LENGTH_S:
        begin = time.perf_counter()
        work()
        found.append(max(time.perf_counter() - begin, 1e-9))
    return min(found)
