"""Building every engine of a bundle: what fits is used again, the rest is made, and everything is gated before it may be loaded."""

from __future__ import annotations

import time

from videoscene_rt.engines.arguments import whole_number
from videoscene_rt.engines.backends import check_pair
from videoscene_rt.engines.building.lock import build_lock
from videoscene_rt.engines.building.progress import OnProgress
from videoscene_rt.engines.building.request import BuildReport, BuildRequest, GraphReport, Recorder
from videoscene_rt.engines.building.run import BuildRun
from videoscene_rt.engines.building.system import system_errors
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.platform import Platform, platform
from videoscene_rt.engines.plugin import GivenPlugin
from videoscene_rt.engines.store.located import REFERENCE
from videoscene_rt.engines.store.records import Gated
from videoscene_rt.engines.store.store import EngineStore

__all__ = ["BuildReport", "BuildRequest", "GraphReport", "OnProgress", "Recorder", "build_bundle"]

MOST_JOBS = 256


def build_bundle(request: BuildRequest, recorder: Recorder, on_progress: OnProgress | None = None) -> BuildReport:
    """Bring the engines of a pair up to date: build what does not match, gate what was not gated here on these scenes, select.

    Every engine is stored as soon as it is made, so an interrupted build goes on where it was.

    Args:
        request: what to build.
        recorder: calibration's and the gate's activations.
        on_progress: see `OnProgress`.

    Returns:
        A report, also of engines that their gate refused: `BuildReport.check` raises for those.

    Raises:
        InputError: there is no such backend or precision, jobs is out of range, or what is given as the plug-in is none or has no use.
        BackendError: the pair cannot be built or run here, the plug-in is for another TensorRT, a builder failed, another build
            holds the lock for too long, the disk is full, the folder cannot be written, or there is not enough memory.
    """
    check_pair(request.backend, request.precision)
    whole_number("jobs", request.jobs, 1, MOST_JOBS)
    _check_plugins_use(request)
    start = time.perf_counter()
    if (request.backend, request.precision) == REFERENCE:
        graphs = tuple(GraphReport(name, "fp32", "source", "source") for name in request.bundle.manifest.graphs)
        return BuildReport(
            request, graphs, Gated(status="passed", device="cpu"), recorder.scenes, time.perf_counter() - start
        )
    here = platform(request.backend)
    _check_device(request, here)
    plugin = None if request.plugin is None else GivenPlugin.read(request.plugin, here.version)
    tell = on_progress or (lambda what, done: None)
    store = EngineStore(request.bundle.folder)
    with system_errors(store.folder):
        store.prepare()
        with build_lock(store.folder, request.lock_timeout_s, lambda words: tell(words, 0.0)):
            store.sweep()
            graphs, chain = BuildRun(request, recorder, here, store, tell, plugin).run()
    return BuildReport(request, graphs, chain, recorder.scenes, time.perf_counter() - start)


def _check_plugins_use(request: BuildRequest) -> None:
    if request.plugin is not None and (request.backend != "tensorrt" or request.precision == "fp32"):
        raise InputError(
            f"a plug-in is for tensorrt in fp16 or int8, not for {request.backend} in {request.precision}",
            "leave --plugin out, or ask for --backend tensorrt --precision fp16",
        )


def _check_device(request: BuildRequest, here: Platform) -> None:
    if here.cannot_build:
        raise BackendError(here.cannot_build, "build on the machine that shall run them, or use --backend onnxruntime")
    if request.gate and here.cannot_run:
        raise BackendError(
            f"{here.cannot_run}: engines can be built here, but not gated",
            "--no-gate stores them; the same command on the device then gates them before they may be loaded",
        )
