"""The process behind `tests.support.nursery`: imports everything once, then forks for each command that it is told."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_PRELOAD = (
    "torch",  # polygraphy looks for it when it compares
    "onnx",
    "onnx_ir",
    "polygraphy.comparator",
    "onnxruntime",
    "filelock",
    "PIL.Image",
    "av",
    "numpy.lib.format",
    "numpy.random",
    "videoscene_rt.cli.main",
    "videoscene_rt.cli.inspect",
    "videoscene_rt.cli.build",
    "videoscene_rt.cli.run",
    "videoscene_rt.cli.run_step",
    "videoscene_rt.pipeline",
    "videoscene_rt.engines.building.build",
    "videoscene_rt.engines.precision",
    "videoscene_rt.scenes.scene_folder",
)
_POLL_S = 0.002


def vsrt(arguments: list[str]) -> int:
    """The command line."""
    from videoscene_rt.cli.main import main

    return main(arguments)


def _address_space() -> int:
    """Bytes that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _child(told: dict[str, Any], out: int, err: int) -> int:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.update(told["environment"])
    # Where it falls, or hangs, if it does. What both need is there before memory is short.
    faulthandler.enable(file=err)
    faulthandler.dump_traceback_later(told["timeout_s"] - 1, file=err)
    limit = _address_space() + (told["memory_mib"] << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if told["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["file_bytes"], resource.RLIM_INFINITY))
    module, _, name = told["function"].partition(":")
    try:
        code = int(getattr(importlib.import_module(module), name)(told["argument"]))
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _serve(told: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pid = os.fork()
        if pid == 0:
            os._exit(_child(told, out.fileno(), err.fileno()))
        kill_at, timed_out = told["kill_after_s"], False
        while True:
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if ended:
                break
            age = time.monotonic() - began
            if age > told["timeout_s"]:
                timed_out = True
                os.kill(pid, signal.SIGKILL)
            elif kill_at is not None and age >= kill_at:
                os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)
        out.seek(0)
        err.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "out": out.read().decode(errors="replace"),
            "err": err.read().decode(errors="replace"),
            "seconds": time.monotonic() - began,
            "peak_mib": max(0, usage.ru_maxrss - before) / 1024,
            "timed_out": timed_out,
        }


def main() -> None:
    """Answer one line of JSON for each."""
    for name in _PRELOAD:
        importlib.import_module(name)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_serve(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
