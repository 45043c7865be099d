"""A baseline's process: ``python -m videoscene_rt.bench.baselines.child``, in an interpreter that has what the baseline needs.

It speaks JSON, a line at a time. In: the request; then ``{"steps": n}`` as often as wanted; it ends with its standard input. Out: what
it is, when its first step is done; then the milliseconds of each step; or ``{"error": …, "remedy": …}``.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, TextIO, cast

from videoscene_rt.bench.baselines.request import TORCH, BaselineRequest
from videoscene_rt.bench.inputs import rms
from videoscene_rt.engines.errors import VsrtError

_WARMUP, _WARMUP_S = 3, 0.5


_Mode = Literal["eager", "compile", "reduce-overhead"]


@dataclass(frozen=True)
class Runner:
    """Something that makes steps: starts one, waits for it, and gives its outputs as NumPy arrays."""

    run: Callable[[], object]
    synchronize: Callable[[], object]
    outputs: Callable[[], dict[str, Any]]
    precision: str
    versions: dict[str, str]
    notes: tuple[str, ...]


def main() -> int:
    """The program; 0, or 3 after an error that was told."""
    # Whatever a library prints goes to standard error: standard output is the conversation's.
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        with ExitStack() as stack:
            begin = time.perf_counter()
            request = BaselineRequest.model_validate_json(sys.stdin.readline())
            runner = _open(request, stack)
            runner.run()
            runner.synchronize()
            setup_s = time.perf_counter() - begin
            _warm_up(runner)
            _say(told, {
                "setup_s": setup_s, "precision": runner.precision, "versions": runner.versions, "notes": runner.notes,
                "output_rms": {name: rms(array) for name, array in runner.outputs().items()},
            })  # fmt: skip
            gc.disable()
            for line in sys.stdin:
                _say(told, {"host_ms": _steps(runner, int(json.loads(line)["steps"]))})
    except VsrtError as error:
        _say(told, {"error": error.problem, "remedy": error.remedy})
        return error.exit_code
    except (
        Exception
    ) as error:  # whatever torch or a compiler raises; the parent tells it, and goes on without this baseline
        traceback.print_exc()  # to the log, for whoever has to find out
        first = str(error).strip().splitlines() or [""]
        _say(told, {"error": f"{type(error).__name__}: {first[0]}", "remedy": None})
        return 3
    return 0


def _warm_up(runner: Runner) -> None:
    end, made = time.monotonic() + _WARMUP_S, 0
    while made < _WARMUP or time.monotonic() < end:
        _steps(runner, 1)
        made += 1


def _steps(runner: Runner, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        runner.run()
        runner.synchronize()
        found.append((time.perf_counter_ns() - begin) / 1e6)
    return found


def _open(request: BaselineRequest, stack: ExitStack) -> Runner:
    return _torch(request, stack) if request.name.startswith(TORCH) else _onnxruntime(request, stack)


def _torch(request: BaselineRequest, stack: ExitStack) -> Runner:
    import torch

    from videoscene_rt.bench.torch_step import StepRequest, check_step, step_work

    told = StepRequest(
        bundle=request.bundle, out=request.bundle, precision=request.precision, seed=request.seed, scenes=request.scenes,
        mode=cast(_Mode, request.name.removeprefix(TORCH)), device=request.device, threads=request.threads, checkpoint=request.checkpoint,
        kernels=request.kernels,
    )  # fmt: skip
    check_step(told)
    stack.enter_context(torch.no_grad())
    work = step_work(told)
    return Runner(
        work.run, work.synchronize, lambda: dict(work.outputs()), work.identity.precision, work.versions, work.notes
    )


def _onnxruntime(request: BaselineRequest, stack: ExitStack) -> Runner:
    from videoscene_rt import Pipeline
    from videoscene_rt.bench.chain_pipeline import fill, whole_results
    from videoscene_rt.bench.chain_scene import sources

    pipeline = stack.enter_context(
        Pipeline.load(
            request.bundle, request.name, request.precision, seed=request.seed, threads=request.threads, capture=False
        )
    )
    scene = sources(pipeline.preset, request.scenes)[0].load()
    fill(pipeline, scene)
    done = pipeline.chain.slots[0].done.synchronize
    notes = ("the same chain over ONNX Runtime, stage by stage", *pipeline.notes)
    return Runner(
        pipeline.chain.launch, done, lambda: whole_results(pipeline, scene), request.precision, pipeline.versions, notes
    )


def _say(stream: TextIO, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
