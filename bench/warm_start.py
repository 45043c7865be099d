"""How long until a bundle's engines are verified, loaded and bound: ``python -m videoscene_rt.bench.warm_start request.json``.

Each run is a process of its own, started after the one before has ended; the files are in the operating system's cache from the
second one on, which is what "warm" means. The record's series: "process" from the start of the process (the interpreter and every
import in it), "load" from the first look at the bundle, both to every engine bound.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from videoscene_rt.bench.inputs import specs_sha256
from videoscene_rt.bench.measure import gpu_once, identify, record_name
from videoscene_rt.bench.record import Inputs, Record, Settling, Statistics, rounded_us, write_record
from videoscene_rt.bench.request import Request, main
from videoscene_rt.bench.surroundings import host, versions
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.errors import BackendError

_TIMEOUT_S = 600
# What the process runs. Nothing is imported before the bundle is opened but what opening needs.
_CHILD = """
import json, sys, time
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import VsrtError
folder, name, precision, graphs = json.loads(sys.argv[1])
begin = time.monotonic_ns()
parts, kept = {}, []
try:
    bundle = Bundle.open(folder)
    parts["verify"] = time.monotonic_ns() - begin
    backend = open_backend(name, precision)
    for graph in graphs or bundle.manifest.graphs:
        start = time.monotonic_ns()
        engine = backend.load(bundle, graph)
        context = engine.context()
        for spec in (*engine.spec.inputs, *engine.spec.outputs):
            memory = backend.allocate(spec.dtype, spec.shape)
            context.bind(spec.name, memory.view())
            kept.append(memory)
        kept.append(context)
        parts[graph] = time.monotonic_ns() - start
    backend.synchronize()
except VsrtError as error:
    print(" ".join(str(error).split()), file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps({"begin": begin, "ready": time.monotonic_ns(), "parts": parts, "device": backend.device, "versions": backend.versions}))
"""


class WarmStartRequest(Request):
    """Which engines, and how many processes; ``graphs`` defaults to all of the bundle's."""

    backend: str = "onnxruntime"
    runs: int = Field(default=5, ge=1)


def measure_warm_start(request: WarmStartRequest) -> dict[str, Any]:
    """Start the processes and write one record for the bundle.

    Returns:
        ``records``: the file; ``parts_ms``: the median milliseconds of verifying and of loading each graph.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: a process could not load the engines.
    """
    bundle = Bundle.open(request.bundle)
    for name in request.graphs or ():
        bundle.graph(name)
    runs = [start_once(request) for _ in range(request.runs)]
    series = {
        "process": np.array([run["ready"] - run["launched"] for run in runs]) / 1e6,
        "load": np.array([run["ready"] - run["begin"] for run in runs]) / 1e6,
    }
    cuda = runs[0]["device"] == "cuda"
    names = request.graphs or tuple(bundle.manifest.graphs)
    record = Record(
        identity=identify(
            bundle, "all" if request.graphs is None else "+".join(names), "all", request.backend, request.precision, "warm-start",
            cuda=cuda,
        ),
        inputs=Inputs(specs_sha256=text_sha256(specs_sha256(bundle.graph(name)) for name in names), source="none"),
        settings=request.settings.model_copy(
            update={"warmup_iterations": 0, "warmup_s": 0.0, "iterations": request.runs, "seconds": 0.0}
        ),
        statistics={name: Statistics.of(values) for name, values in series.items()},
        settling=Settling(drift=None, settled=False),
        overhead_us=None,
        host=host(),
        gpu=gpu_once() if cuda else None,
        versions=versions(runs[0]["versions"].items()),
        notes=("each run is a process of its own; the files were in the operating system's cache from the second on",),
        samples_us=rounded_us(series),
    )  # fmt: skip
    request.out.mkdir(parents=True, exist_ok=True)
    path = request.out / record_name(record.identity)
    write_record(path, record)
    parts = {part: round(float(np.median([run["parts"][part] for run in runs])) / 1e6, 3) for part in runs[0]["parts"]}
    return {"records": {"all": str(path)}, "parts_ms": parts, "failures": {}}


def start_once(request: WarmStartRequest) -> dict[str, Any]:
    """Start one process; when it was launched, began, and was ready, on the clock that all processes share, and its parts in nanoseconds.

    Raises:
        BackendError: it could not load the engines.
    """
    told = json.dumps([str(Path(request.bundle).resolve()), request.backend, request.precision, request.graphs])
    launched = time.monotonic_ns()  # the same clock in every process of the machine
    try:
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, told], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(f"the engines were not loaded within {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BackendError(f"the engines could not be loaded: {lines[-1]}")
    return {"launched": launched, **json.loads(done.stdout.splitlines()[-1])}


if __name__ == "__main__":
    sys.exit(main(WarmStartRequest, measure_warm_start, sys.argv[1:]))
