"""The ONNX Runtime adapter keeps the engine's contract."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videoscene_rt import BackendError, InputError
from videoscene_rt.engines.arguments import checked_threads
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import Context, Engine, TensorView
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend


@pytest.fixture
def policy(small_bundle: Path) -> Engine:
    return open_backend().load(Bundle.open(small_bundle), "policy")


def bind_all(engine: Engine, context: Context) -> dict[str, np.ndarray]:
    arrays = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in (*engine.spec.inputs, *engine.spec.outputs)}
    for name, array in arrays.items():
        context.bind(name, TensorView.of_numpy(array))
    return arrays


def test_it_reads_and_writes_the_bound_memory(policy: Engine) -> None:
    context = policy.context()
    arrays = bind_all(policy, context)
    results = []
    for seed in (0, 1, 0):
        arrays["z_r"][...] = np.random.default_rng(seed).standard_normal(arrays["z_r"].shape)
        arrays["logits"][...] = np.nan
        context.enqueue()
        results.append(arrays["logits"].copy())
    assert np.isfinite(results).all()
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_contexts_do_not_share_memory(policy: Engine) -> None:
    one, two = policy.context(), policy.context()
    first, second = bind_all(policy, one), bind_all(policy, two)
    first["z_r"][...] = 1
    one.enqueue()
    kept = first["logits"].copy()
    second["z_r"][...] = np.random.default_rng(0).standard_normal(second["z_r"].shape)
    two.enqueue()
    assert np.array_equal(first["logits"], kept)
    assert not np.array_equal(second["logits"], kept)


def test_nothing_runs_unbound(policy: Engine) -> None:
    context = policy.context()
    with pytest.raises(BackendError, match="not bound: z_r, timestep, logits"):
        context.enqueue()


@pytest.mark.parametrize("array", [np.zeros((1, 3), np.float64), np.zeros((1, 4), np.float32)], ids=["dtype", "shape"])
def test_memory_that_does_not_fit_is_refused(policy: Engine, array: np.ndarray) -> None:
    with pytest.raises(BackendError, match=r"wants logits: float32\[1,3\] on cpu, not"):
        policy.context().bind("logits", TensorView.of_numpy(array))


def test_an_unknown_tensor_is_refused(policy: Engine) -> None:
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        policy.context().bind("reward", TensorView.of_numpy(np.zeros(1, np.float32)))


def test_scattered_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        TensorView.of_numpy(np.zeros((4, 4))[:, ::2])


def test_a_graph_that_is_not_what_the_manifest_says(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(small_bundle)
    graphs = dict(bundle.manifest.graphs)
    graphs["policy"] = graphs["policy"].model_copy(update={"file": "encode_clip.onnx"})
    swapped = Bundle(bundle.folder, bundle.manifest.model_copy(update={"graphs": graphs}))
    with pytest.raises(BackendError, match="graph policy: its inputs are not the manifest's: .*frames.*z_r"):
        open_backend().load(swapped, "policy")


def test_what_is_no_onnx_file(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(small_bundle)
    (tmp_path / "policy.onnx").write_bytes(b"not a graph")
    with pytest.raises(BackendError, match="cannot load .*policy.onnx"):
        open_backend().load(Bundle(tmp_path, bundle.manifest), "policy")


def test_unknown_words_are_the_callers_and_the_known_ones_are_named() -> None:
    with pytest.raises(InputError, match=r"'abacus'[\s\S]*onnxruntime, onnxruntime-cuda, tensorrt"):
        open_backend("abacus")
    with pytest.raises(InputError, match=r"'fp4'[\s\S]*fp32, fp16, int8"):
        open_backend(precision="fp4")


CORES = os.cpu_count() or 1


@pytest.mark.parametrize("threads", [0, -1, 4 * CORES + 1, 100_000, 2**70, True, 1.5, "2"])
def test_a_number_of_threads_that_cannot_be_is_refused_before_any_starts(threads: Any) -> None:
    for make in (lambda: open_backend(threads=threads), lambda: OnnxRuntimeBackend(threads)):
        with pytest.raises(InputError, match=f"threads must be a whole number from 1 to {4 * CORES}, not"):
            make()


@pytest.mark.parametrize("threads", [None, 1, np.int64(2), 4 * CORES])
def test_every_other_number_of_threads_is_taken(threads: Any) -> None:
    assert checked_threads(threads) == threads
