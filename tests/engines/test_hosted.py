"""A graph that the device cannot run goes through host memory and back."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.hosted import HostedContext, HostedEngine


class PlayedDevice:
    """Device memory that lies in host memory, and a list of what was copied."""

    stream_handle = 7

    def __init__(self) -> None:
        self.copies: list[str] = []

    def settle(self, handle: int) -> None:
        self.copies.append(f"settle {handle}")

    def upload(self, pointer: int, array: np.ndarray) -> None:
        self.copies.append("upload")
        ctypes.memmove(pointer, array.ctypes.data, array.nbytes)

    def download(self, pointer: int, array: np.ndarray) -> None:
        self.copies.append("download")
        ctypes.memmove(array.ctypes.data, pointer, array.nbytes)


def on_device(array: np.ndarray) -> TensorView:
    return TensorView(array.ctypes.data, array.dtype.name, array.shape, "cuda", array)


@pytest.fixture
def hosted(small_bundle: Path) -> tuple[HostedContext, PlayedDevice, dict[str, np.ndarray]]:
    device = PlayedDevice()
    engine = HostedEngine(open_backend(threads=1).load(Bundle.open(small_bundle), "policy"), device, "cuda")
    arrays = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in (*engine.spec.inputs, *engine.spec.outputs)}
    return engine.context(), device, arrays


def test_it_computes_what_the_host_computes(small_bundle: Path, hosted: Any) -> None:
    from videoscene_rt.engines.building.trial import caller

    context, device, arrays = hosted
    for name, array in arrays.items():
        context.bind(name, on_device(array))
    backend = open_backend(threads=1)
    run = caller(backend, backend.load(Bundle.open(small_bundle), "policy"))
    for seed, stream in ((0, None), (1, device.stream_handle)):
        arrays["z_r"][...] = np.random.default_rng(seed).standard_normal(arrays["z_r"].shape)
        device.copies.clear()
        context.enqueue(stream)
        assert device.copies == ["download", "upload", "upload"]
        for name, expected in run({"z_r": arrays["z_r"]}).items():
            assert np.array_equal(arrays[name], expected)


def test_what_does_not_fit_is_refused(hosted: Any) -> None:
    context, _, arrays = hosted
    with pytest.raises(BackendError, match="not bound: z_r, timestep, logits"):
        context.enqueue()
    with pytest.raises(BackendError, match="no input or output 'reward'"):
        context.bind("reward", on_device(arrays["logits"]))
    with pytest.raises(BackendError, match="logits: float32.* on cuda, not float32.* on cpu"):
        context.bind("logits", TensorView.of_numpy(arrays["logits"]))
    with pytest.raises(BackendError, match="not int32"):
        context.bind("logits", on_device(arrays["timestep"]))


def test_another_stream_is_waited_for_first(hosted: Any) -> None:
    context, device, arrays = hosted
    for name, array in arrays.items():
        context.bind(name, on_device(array))
    context.enqueue(8)
    assert device.copies == ["settle 8", "download", "upload", "upload"]
