"""A measurement as a program of its own: a request in JSON goes in, records and one line of JSON come out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.measure import record_name
from videoscene_rt.bench.record import Record, write_record
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, InputError, VsrtError


class Request(BaseModel):
    """What every measurement is told.

    Attributes:
        bundle: the bundle's folder.
        out: folder for the records, which is made; one file a graph.
        graphs: which; all of the bundle's by default.
        precision: "fp32", "fp16", "int8", and for torch "bf16".
        seed: of the inputs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path
    out: Path
    graphs: tuple[str, ...] | None = None
    precision: str = "fp32"
    seed: int = Field(default=0, ge=0)
    settings: LoopSettings = LoopSettings()
    keep_samples: bool = False


R = TypeVar("R", bound=BaseModel)


def read_request(path: str, model: type[R]) -> R:
    """Read a request.

    Raises:
        InputError: it cannot be read, or a field is wrong.
    """
    try:
        return model.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg']}") from error


def measure_graphs(request: Request, bundle: Bundle, one: Callable[[str], Record]) -> dict[str, Any]:
    """Measure graph after graph; one that fails does not keep the others.

    Args:
        request: which graphs, and where the records go.
        bundle: theirs.
        one: measures a graph.

    Returns:
        ``records``: file by graph; ``failures``: the problem by graph.

    Raises:
        InputError: the bundle has no such graph, or ``out`` cannot be made.
    """
    names = [bundle.graph(name).name for name in request.graphs or bundle.manifest.graphs]
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.out} cannot be made: {error.strerror}") from error
    records: dict[str, str] = {}
    failures: dict[str, str] = {}
    for name in names:
        try:
            record = one(name)
        except VsrtError as error:
            failures[name] = error.problem
            continue
        path = request.out / record_name(record.identity)
        write_record(path, record)
        records[name] = str(path)
    return {"records": records, "failures": failures}


def main(model: type[R], work: Callable[[R], dict[str, Any]], argv: Sequence[str]) -> int:
    """The program: reads the request that the one argument names, prints what ``work`` returns as one line of JSON.

    Returns:
        0; 2 for a wrong request; 3 where a graph could not be measured. One line for each problem on standard error.
    """
    try:
        if len(argv) != 1:
            raise InputError("give one argument: the request, a JSON file")
        result = work(read_request(argv[0], model))
    except VsrtError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(result) + "\n")
    for name, problem in result.get("failures", {}).items():
        sys.stderr.write(f"error: {name}: {' '.join(problem.split())}\n")
    return BackendError.exit_code if result.get("failures") else 0
