"""What GPU tests share. They skip, each with a word, where there is no GPU, no cuda-core or no TensorRT that runs on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from tests.gpu.built import Built
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import PLUGIN_FILE, GivenPlugin, Plugin
from videoscene_rt.engines.tensorrt.plugin import load_plugin


@pytest.fixture(scope="session")
def cuda() -> CudaDevice:
    """Device 0."""
    try:
        return CudaDevice()
    except BackendError as error:
        pytest.skip(f"no CUDA device: {error.problem}")


@pytest.fixture(scope="session", params=["tensorrt", "tensorrt_rtx"])
def package(request: pytest.FixtureRequest, cuda: CudaDevice) -> str:
    """Each TensorRT that is installed and runs on this GPU."""
    from videoscene_rt.engines.tensorrt.capabilities import open_package

    name = str(request.param)
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as error:
        pytest.skip(f"{name} is not installed: {error}")
    _, can = open_package(name)  # type: ignore[arg-type]
    if can.compute_capabilities is not None and cuda.compute_capability not in can.compute_capabilities:
        pytest.skip(f"{name} does not run on compute capability {cuda.compute_capability}")
    return name


@pytest.fixture(scope="session")
def plugin(cuda: CudaDevice, tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """The TensorRT plug-in that $VSRT_PLUGIN names, loaded into this process as an engine's would be."""
    named = os.environ.get("VSRT_PLUGIN")
    if not named:
        pytest.skip("VSRT_PLUGIN names no plug-in")
    tensorrt = pytest.importorskip("tensorrt", reason="no TensorRT to load the plug-in into")
    given = GivenPlugin.read(Path(named), str(tensorrt.__version__))
    path = tmp_path_factory.mktemp("plugin") / PLUGIN_FILE
    path.write_bytes(given.data)
    path.chmod(0o600)
    found = Plugin(path, given.sha256)
    load_plugin("tensorrt", found)
    return found


@pytest.fixture(scope="session")
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """The bundle named by VSRT_BUNDLE (where torch is missing, one exported elsewhere), or the tests' small one."""
    named = os.environ.get("VSRT_BUNDLE")
    if named:
        return Bundle.open(Path(named))
    pytest.importorskip("torch", reason="no torch to export a bundle with, and VSRT_BUNDLE names none")
    return Bundle.open(request.getfixturevalue("small_bundle"))


@pytest.fixture(scope="session")
def hosted_bundle(request: pytest.FixtureRequest) -> Path:
    """What runs on the host beside a GPU: the bundle named by VSRT_SMALL_BUNDLE, else the tests' small one, else VSRT_BUNDLE's.

    A step of `tiny` takes seconds there, and a file of these tests hundreds of steps.
    """
    named = os.environ.get("VSRT_SMALL_BUNDLE")
    if named:
        return Bundle.open(Path(named)).folder
    if importlib.util.find_spec("torch") is not None:
        return Path(request.getfixturevalue("small_bundle"))
    return Path(request.getfixturevalue("bundle").folder)


@pytest.fixture(scope="session", params=["tensorrt", "onnxruntime-cuda", "hosted"])
def built(
    request: pytest.FixtureRequest, cuda: CudaDevice, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Built:
    """A bundle with engines. TensorRT's are those of VSRT_BUNDLE; ONNX Runtime's are made here; "hosted" needs none (`hosted_bundle`)."""
    backend = str(request.param)
    if backend == "hosted":
        pytest.importorskip("onnxruntime", reason="no ONNX Runtime")
        return Built(request.getfixturevalue("hosted_bundle"), backend, "fp32")
    from videoscene_rt.cli.main import main
    from videoscene_rt.engines.platform import platform
    from videoscene_rt.engines.store.store import EngineStore

    try:
        platform(backend)
    except BackendError as error:
        pytest.skip(error.problem)
    pairs = EngineStore(bundle.folder).selected().pairs
    for precision in ("fp16", "int8", "fp32"):
        if f"{backend}/{precision}" in pairs:
            return Built(bundle.folder, backend, precision)
    if backend != "onnxruntime-cuda":
        pytest.skip(f"VSRT_BUNDLE names no bundle with engines of {backend}")
    folder = tmp_path_factory.mktemp("built") / "built.bundle"
    shutil.copytree(bundle.folder, folder)
    assert main(["build", str(folder), "--backend", backend]) == 0
    return Built(folder, backend, "fp32")
