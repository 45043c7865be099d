"""`vsrt doctor`: which backends this machine can run, whether it can export, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from videoscene_rt.cli.exit_codes import DONE

if TYPE_CHECKING:
    from videoscene_rt.cli.diagnosis import Verdict
    from videoscene_rt.environment import Environment


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> int:
    """Say what this machine can run, and what is missing.

    Exit code 0 if at least one backend can run here, 3 if none can.
    """
    from videoscene_rt.cli import console, diagnosis
    from videoscene_rt.engines.errors import BackendError
    from videoscene_rt.environment import gather, install_line

    environment = gather()
    backends, export = diagnosis.backends(environment), diagnosis.export(environment)
    usable = any(backend.usable for backend in backends)
    if as_json:
        console.print_json(
            {
                "schema_version": 1,
                "usable": usable,
                "backends": [asdict(backend) for backend in backends],
                "export": asdict(export),
                "environment": asdict(environment),
            }
        )
    else:
        _print(backends, export, environment)
    if not usable:
        raise BackendError("no backend can run on this machine", f"for the CPU: {install_line('cpu')}")
    return DONE


def _print(backends: tuple[Verdict, ...], export: Verdict, environment: Environment) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from videoscene_rt.cli.console import RESULT

    verdicts = Table(box=box.SIMPLE_HEAD, title="What can run here", title_justify="left", title_style="bold")
    for heading in ("", "usable", "version", "device", "missing"):
        verdicts.add_column(heading, overflow="fold")
    for verdict in (*backends, export):
        colour = {True: "green", False: "red", None: "yellow"}[verdict.usable]
        missing = "\n".join((*verdict.missing, *([f"→ {verdict.remedy}"] if verdict.remedy else [])))
        word = Text(verdict.word, style=colour)
        verdicts.add_row(verdict.name, word, verdict.version or "–", verdict.device or "–", missing)
    RESULT.print(verdicts)
    facts = Table(
        box=box.SIMPLE_HEAD, title="This machine", title_justify="left", title_style="bold", show_header=False
    )
    facts.add_column()
    facts.add_column(overflow="fold")
    for name, value in _facts(environment):
        facts.add_row(name, value)
    RESULT.print(facts)
    for warning in environment.warnings:
        RESULT.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


def _facts(environment: Environment) -> Iterable[tuple[str, str]]:
    from videoscene_rt.cli.console import size

    machine, jetson = environment.machine, environment.jetson
    yield "videoscene-rt", environment.version
    yield "Python", environment.python
    yield "system", machine.system
    cores = f"{machine.cores} cores" + (
        f", {machine.cores_usable} usable" if machine.cores_usable < machine.cores else ""
    )
    yield "processor", f"{machine.processor or machine.architecture}, {cores}"
    limit = machine.memory_limit_bytes
    memory = "unknown" if machine.memory_bytes is None else size(machine.memory_bytes)
    yield "memory", memory + (f", limited to {size(limit)}" if limit is not None else "")
    for gpu in environment.gpus.found:
        room = "unknown memory" if gpu.memory_mib is None else size(gpu.memory_mib << 20)
        capability = gpu.compute_capability or "unknown"
        yield "GPU", f"{gpu.name}, {room}, compute capability {capability}, driver {gpu.driver or 'unknown'}"
    if not environment.gpus.found:
        yield "GPU", f"none seen ({environment.gpus.note})"
    if jetson is not None:
        yield (
            "Jetson",
            f"{jetson.model or 'unknown module'}, L4T {jetson.l4t}, power mode {jetson.power_mode or 'unknown'}",
        )
    yield "ONNX Runtime", ", ".join(environment.providers.names) or environment.providers.problem
    yield "packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items())
