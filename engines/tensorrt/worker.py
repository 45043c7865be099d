"""The builder's process: ``python -m videoscene_rt.engines.tensorrt.worker JOB.json [EVENTS_FD]``.

It builds one plan and tells what happens as lines of JSON on a pipe (standard output by hand): {"progress": [phase, fraction]},
{"message": [severity, text]}, and at the end {"result": …} or {"error": {"problem": …, "remedy": …}}. A builder may take its whole
process with it, which is why it has one of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

from videoscene_rt.engines.errors import VsrtError
from videoscene_rt.engines.plugin import Plugin
from videoscene_rt.engines.tensorrt.capabilities import Capabilities, open_package
from videoscene_rt.engines.tensorrt.files import write_whole
from videoscene_rt.engines.tensorrt.log import make_log, reason
from videoscene_rt.engines.tensorrt.network import parse, set_half, set_precisions
from videoscene_rt.engines.tensorrt.plugin import load_plugin
from videoscene_rt.engines.tensorrt.progress import make_monitor
from videoscene_rt.engines.tensorrt.request import Job
from videoscene_rt.engines.tensorrt.timing_cache import load_timings, save_timings

_PR_SET_PDEATHSIG = 1
_MIB = 1 << 20


class Events:
    """Lines of JSON to whoever waits; a reader that has gone ends this process."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, kind: str, value: Any) -> None:
        """One event."""
        try:
            with self._lock:
                self._stream.write(json.dumps({kind: value}) + "\n")
                self._stream.flush()
        except OSError:
            os._exit(1)

    def progress(self, phase: str, fraction: float) -> None:
        """How far a phase is."""
        self.send("progress", [phase, round(fraction, 4)])

    def message(self, severity: str, text: str) -> None:
        """A message of the builder's, or one of ours."""
        self.send("message", [severity, text])


def build(job: Job, events: Events) -> dict[str, Any]:
    """Build one plan and write it to ``job.out``.

    Returns:
        {"bytes": the plan's length, "version": of the package, "layers": of the network, "typed": layers typed by us}.

    Raises:
        BackendError: the package is not there, the plug-in cannot be loaded, or the parser or builder refuses; in its words.
    """
    module, can = open_package(job.package)
    version = str(module.__version__)
    log = make_log(module, events.message)
    builder = module.Builder(log)  # before the plug-in, whose library reports to the logger that is there
    events.progress("parsing", 0.0)
    try:
        if job.plugin is not None:
            load_plugin(job.package, Plugin(Path(job.plugin[0]), job.plugin[1]))
        network = parse(module, can, builder, log, Path(job.onnx))
        config, typed = configure(module, can, builder, network, job, events)
        before = log.count
        events.progress("building", 0.0)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise _RefusedError(f"its builder fails: {reason(log.errors(before)) or 'it does not say why'}")
    except VsrtError as error:
        raise _RefusedError(f"{job.package} {version}: {error.problem}", error.remedy) from error
    events.progress("writing", 0.0)
    write_whole(Path(job.out), plan)
    if can.timing_cache and job.timing_cache:
        try:
            save_timings(config, Path(job.timing_cache))
        except OSError as error:  # the plan is whole all the same
            events.message("WARNING", f"timing cache {job.timing_cache} is not kept: {error.strerror or error}")
    return {"bytes": plan.nbytes, "version": version, "layers": network.num_layers, "typed": typed}


def configure(module: Any, can: Capabilities, builder: Any, network: Any, job: Job, events: Events) -> tuple[Any, int]:
    """The builder's configuration for one attempt, and how many layers were typed."""
    config = builder.create_builder_config()
    config.builder_optimization_level = job.level
    # What runs beside what is the chain's to say; an engine that forks streams of its own makes its part of a captured graph branch.
    config.max_aux_streams = 0
    config.clear_flag(module.BuilderFlag.TF32)  # FP32 in a recipe means FP32, not its first ten bits
    if job.workspace_mib is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, job.workspace_mib * _MIB)
    if can.tactic_sources is not None and job.tactic_sources is not None:
        sources = (getattr(module.TacticSource, name) for name in job.tactic_sources)
        config.set_tactic_sources(sum(1 << int(source) for source in sources))
    if can.timing_cache and job.timing_cache and (problem := load_timings(config, Path(job.timing_cache))):
        events.message("WARNING", problem)
    if can.progress_monitor:
        config.progress_monitor = make_monitor(module, events.progress)
    typed = 0
    if not can.strongly_typed and job.precision != "fp32":
        config.set_flag(module.BuilderFlag.FP16)
        if job.precision == "int8":
            config.set_flag(module.BuilderFlag.INT8)
        set_half(module, network, job.half)
        if job.layer_precisions:
            config.set_flag(module.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
            typed, missing = set_precisions(module, network, job.layer_precisions)
            if missing:
                events.message(
                    "INFO", f"no layer for {len(missing)} typed nodes (folded away): {', '.join(missing[:8])}"
                )
    return config, typed


class _RefusedError(VsrtError):
    """What the parent gets to hear."""


def _live_and_die_quietly(parent: int | None) -> None:
    """No core file when a tactic crashes, the end when the parent ends, and Ctrl-C is the parent's to answer."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if parent is None:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the line above
        os._exit(1)


def main(arguments: list[str]) -> int:
    """Run one job; 0 if a plan was written, 3 if not."""
    events = Events(os.fdopen(int(arguments[1]), "w", encoding="utf-8") if len(arguments) > 1 else sys.stdout)
    job = Job.read(Path(arguments[0]))
    _live_and_die_quietly(job.parent)
    try:
        events.send("result", build(job, events))
    except VsrtError as error:
        events.send("error", {"problem": error.problem, "remedy": error.remedy})
        return 3
    except (
        Exception
    ) as error:  # of the bindings, or a full disk: one line for whoever waits, the rest on standard error
        traceback.print_exc()
        events.send("error", {"problem": f"{job.package}: {_said(error)}", "remedy": None})
        return 3
    return 0


def _said(error: Exception) -> str:
    """An exception in one line; of the bindings' many lines about arguments the first."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror or error}"
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".removesuffix(": ")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # the plan is written: a driver that crashes while it is torn down must not undo that
