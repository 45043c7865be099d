"""Builds a plan in a process of its own and answers that process's death with the next attempt."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from videoscene_rt.engines.tensorrt.attempts import attempts
from videoscene_rt.engines.tensorrt.process import JOB, Heard, Progress, listen, signal_name
from videoscene_rt.engines.tensorrt.request import Attempt, BuilderError, Job, PlanRequest, PlanResult, Tried

Line = Callable[[str], None]

WORKER = (sys.executable, "-m", "videoscene_rt.engines.tensorrt.worker")
_LOG = logging.getLogger(__name__)
_OTHERWISE = "try another --level or --workspace, another version of it, or onnxruntime"


def build_plan(
    request: PlanRequest,
    on_progress: Progress | None = None,
    on_line: Line | None = None,
    worker: Sequence[str] = WORKER,
) -> PlanResult:
    """Build a plan; ``request.out`` is written whole, at the end, or not at all.

    Whatever ends this function (Ctrl-C too) ends the builder with every process it started, and leaves no other file behind.

    Args:
        request: what to build.
        on_progress: called with a phase and the fraction of it that is done, every second or so; what it raises ends the builder.
        on_line: called with one line for each death of the builder, which the logger of this module gets as well.
        worker: the command that builds; a job's path and the number of a pipe are added to it.

    Raises:
        BuilderError: the parser or builder refuses (not tried again), was killed, or died in every attempt. Exit code 3.
    """
    start = time.perf_counter()
    tried: list[Tried] = []
    heard = Heard()
    steps = attempts(request.package, request.level)
    for number, attempt in enumerate(steps):
        heard = _run(request, attempt, on_progress, worker, timings=number == 0)
        death = heard.death
        tried.append(Tried(attempt, f"died: {death}" if death else "built" if heard.result else "refused"))
        if not death:
            return _result(request, heard, tried, time.perf_counter() - start)
        more = f"; next: {_spelt(steps[number + 1])}" if number + 1 < len(steps) else ""
        line = f"the {request.package} builder died on {request.onnx.name}: {death}; {_spelt(attempt)}{more}"
        _LOG.warning("%s", line)
        if on_line is not None:
            on_line(line)
    raise BuilderError(
        f"{request.package} cannot build {request.onnx.name}: its builder died in each of {len(steps)} attempts; "
        f"the last time of {heard.death}",
        "try another version of it, a smaller --workspace, or onnxruntime",
        messages=heard.texts,
        tried=tuple(tried),
    )


def _result(request: PlanRequest, heard: Heard, tried: list[Tried], seconds: float) -> PlanResult:
    if heard.result is None or heard.code != 0:
        raise _refusal(request, heard, tuple(tried))
    attempt = tried[-1].attempt
    sources = None if attempt.tactic_sources is None else list(attempt.tactic_sources)
    return PlanResult(
        seconds=seconds,
        attempt={"tactic_sources": sources, "level": attempt.level},
        messages=heard.texts,
        tried=tuple(tried),
        version=str(heard.result.get("version", "")),
    )


def _refusal(request: PlanRequest, heard: Heard, tried: tuple[Tried, ...]) -> BuilderError:
    name = request.onnx.name
    if heard.error is not None:
        problem, remedy = f"cannot build {name}: {heard.error.get('problem')}", heard.error.get("remedy") or _OTHERWISE
    elif heard.code < 0:
        killer = signal_name(-heard.code)
        problem = f"the {request.package} builder was killed ({killer}) while it built {name}"
        remedy = (
            "the machine may be out of memory: free some, or use a smaller --workspace"
            if killer == "SIGKILL"
            else "build again: what is whole is kept"
        )
    else:
        words = " ".join(heard.output.split())[-300:] or "it said nothing"
        problem = f"the {request.package} builder ended with code {heard.code} and without a plan for {name}: {words}"
        remedy = _OTHERWISE
    return BuilderError(problem, remedy, messages=heard.texts, tried=tried)


def _run(
    request: PlanRequest, attempt: Attempt, on_progress: Progress | None, worker: Sequence[str], timings: bool
) -> Heard:
    scratch = Path(tempfile.mkdtemp(dir=request.out.parent, prefix=".building-"))
    try:
        plan = scratch / "plan"
        job = Job(
            onnx=str(request.onnx.absolute()),
            out=str(plan.absolute()),
            package=request.package,
            precision=request.precision,
            layer_precisions=dict(request.layer_precisions),
            workspace_mib=request.workspace_mib,
            level=attempt.level or 0,
            tactic_sources=None if attempt.tactic_sources is None else list(attempt.tactic_sources),
            # After a death the cache may be what killed the builder.
            timing_cache=str(request.timing_cache.absolute()) if request.timing_cache and timings else None,
            parent=os.getpid(),
            half=list(request.half),
            plugin=None if request.plugin is None else [str(request.plugin.path.absolute()), request.plugin.sha256],
        )
        job.write(scratch / JOB)
        heard = listen(worker, scratch, on_progress)
        if heard.result is not None and heard.code == 0:
            if not plan.is_file() or plan.stat().st_size == 0:
                heard.result = None
            else:
                plan.replace(request.out)
        return heard
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _spelt(attempt: Attempt) -> str:
    if attempt.tactic_sources is None:
        return f"level {attempt.level}"
    return f"tactic sources {' + '.join(attempt.tactic_sources) or 'none'} at level {attempt.level}"
