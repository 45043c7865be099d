"""Equal input gives equal bits: ``python -m videoscene_rt.bench.equality request.json``. Exit code 1 if it does not.

The record says of every check whether it held, or why it was not made, with the digests of what was compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_pipeline import once
from videoscene_rt.bench.chain_scene import described, sources
from videoscene_rt.bench.equality_checks import ON_ONE_PIPELINE, Check, World, equal_steps, same_as
from videoscene_rt.bench.measure import gpu_once
from videoscene_rt.bench.record import Inputs
from videoscene_rt.bench.request import Request, read_request
from videoscene_rt.bench.surroundings import GpuFacts, Host, host, versions
from videoscene_rt.engines.backends import check_pair
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.engines.platform import KINDS
from videoscene_rt.pictures.report import write_report

_NOT_EQUAL = 1


class EqualityRequest(Request):
    """What to prove: ``steps`` equal ones in a row for each way of running; the other checks take a few."""

    backend: str = "onnxruntime"
    scenes: tuple[Path, ...] = ()
    threads: int | None = None
    steps: int = Field(default=1000, ge=2)


class EqualityRecord(BaseModel):
    """Every check on one bundle, backend and precision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = "equality"
    held: bool = Field(description="no check failed")
    checks: tuple[Check, ...]
    seconds: float
    bundle_sha256: str
    preset: str
    backend: str
    precision: str
    inputs: Inputs
    host: Host
    gpu: GpuFacts | None
    versions: dict[str, str]


def prove(request: EqualityRequest) -> EqualityRecord:
    """Make every check.

    Raises:
        InputError: the request or the bundle is wrong.
        BackendError: a pipeline cannot be loaded, or a step failed.
    """
    if request.graphs is not None:
        raise InputError("equality is about the whole step; it takes no graphs")
    check_pair(request.backend, request.precision)
    begin = time.perf_counter()
    bundle = Bundle.open(request.bundle)
    found = sources(bundle.manifest.preset, request.scenes)
    cuda = KINDS[request.backend].device == "cuda"
    world = World(found[0].load(), found[1].load(), request.seed, request.steps)
    checks, used = _checks(request, world)
    return EqualityRecord(
        held=all(check.held is not False for check in checks),
        checks=checks,
        seconds=round(time.perf_counter() - begin, 3),
        bundle_sha256=bundle.digest,
        preset=bundle.manifest.preset.name,
        backend=request.backend,
        precision=request.precision,
        inputs=described(bundle.manifest, found[0], request.seed),
        host=host(),
        gpu=gpu_once() if cuda else None,
        versions=versions(used.items()),
    )


def _checks(request: EqualityRequest, world: World) -> tuple[tuple[Check, ...], dict[str, str]]:
    checks: list[Check] = []
    with _load(request) as pipeline:
        used = dict(pipeline.versions)
        captured = bool(pipeline.captured)
        reference = once(pipeline, world.scene)
        checks += [check(pipeline, world) for check in ON_ONE_PIPELINE]
    unlike, launches = "captured and stage by stage", "captured, and captured for device launches"
    if captured:
        with _load(request, capture=False) as pipeline:
            checks += [same_as(reference, pipeline, world, unlike), equal_steps(pipeline, world)]
        with _load(request, capture="device-launch") as pipeline:
            if pipeline.chain.graph_form == "device-launch":
                checks += [same_as(reference, pipeline, world, launches), equal_steps(pipeline, world)]
            else:
                checks.append(Check(name=launches, held=None, said="; ".join(pipeline.notes)))
    else:
        checks += [Check(name=name, held=None, said="nothing was captured here") for name in (unlike, launches)]
    for memory in ("mapped", "copied"):
        with _load(request, memory=memory) as pipeline:
            checks.append(same_as(reference, pipeline, world, f"inputs and results in {memory} memory"))
    return tuple(checks), used


def _load(request: EqualityRequest, **options: Any) -> Pipeline:
    return Pipeline.load(
        request.bundle,
        request.backend,
        request.precision,
        seed=request.seed,
        threads=request.threads,
        streaming=False,
        **options,
    )


def main(argv: Sequence[str]) -> int:
    """The program: reads the request that the one argument names, writes the record, prints a line a check.

    Returns:
        0; 1 where a check failed; 2 for a wrong request; 3 where a pipeline could not be loaded.
    """
    try:
        if len(argv) != 1:
            raise InputError("give one argument: the request, a JSON file")
        request = read_request(argv[0], EqualityRequest)
        record = prove(request)
        request.out.mkdir(parents=True, exist_ok=True)
        name = f"{record.preset}.equality.{record.backend}.{record.precision}.json"
        write_report(request.out / name, record)
    except VsrtError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    for check in record.checks:
        word = "not made" if check.held is None else "held" if check.held else "FAILED"
        sys.stdout.write(f"{word}: {check.name}{': ' if check.said else ''}{check.said}\n")
    return 0 if record.held else _NOT_EQUAL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
