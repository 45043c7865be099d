"""`vsrt`: its commands, and the way out of each.

A command is a file here and a line in `COMMANDS`: module ``videoscene_rt.cli.<name>`` has a function ``<name>``, whose
parameters are the options and whose docstring is the help. It returns nothing, or an exit code, and is imported when it
is called for.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import typer.core

from videoscene_rt.cli.exit_codes import DEFECT, READER_GONE, TERMINATED, Outcome, outcome

COMMANDS = {
    "demo": "Export the preset tiny and run it on a real scene, on the CPU.",
    "export": "Trace every graph, prove it against torch, write a bundle.",
    "build": "Build a bundle's engines; store those that pass their gate.",
    "run": "Refine one scene: one step, two videos, a sheet, a report.",
    "bench": "Measure a bundle's step: a record, a page, a table.",
    "inspect": "Verify a bundle and show what it is and which engines it has.",
    "doctor": "Say what this machine can run, and what is missing.",
}

# Plain help, not rich's: there [brackets] would be read as markup.
_STYLE: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None}


class _LazyGroup(typer.core.TyperGroup):
    """Knows its commands by name and line; imports the one that is called for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        command = typer.Typer(**_STYLE)
        command.command(name)(getattr(importlib.import_module(f"videoscene_rt.cli.{name}"), str(name)))
        return name, typer.main.get_command(command), rest


app = typer.Typer(name="vsrt", cls=_LazyGroup, **_STYLE)


def _print_version(wanted: bool) -> None:
    if wanted:
        from videoscene_rt.environment import own_version

        sys.stdout.write(f"videoscene-rt {own_version()}\n")
        raise typer.Exit


@app.callback()
def _vsrt(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One VideoScene diffusion step from two photographs to a 3D-consistent video."""


def _placeholder() -> None:
    """Stands for a command in the list; `_LazyGroup` puts the command itself in its place."""


for _name, _line in COMMANDS.items():
    app.command(_name, help=_line)(_placeholder)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: the arguments after ``vsrt``; None takes the process's, and then the process is ours: SIGTERM ends it the way
            an error does, so that half-written folders are removed.

    Returns:
        The exit code: 0 done, 1 a defect of ours, 2 wrong input or command line, 3 a backend or the machine cannot do
        it, 130 interrupted, 143 terminated, 141 the reader of standard output has gone.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _write_anything()
    if argv is None:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        code = _run(arguments or ["--help"])
        sys.stdout.flush()
    except (
        BaseException
    ) as error:  # the one place where everything ends: nothing above it shows a traceback for 2 and 3
        return _leave(error, outcome(error, arguments))
    return code


def _terminate(_number: int, _frame: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut the cleaning up short; SIGKILL still can
    raise SystemExit(TERMINATED)


def _write_anything() -> None:
    """What a stream's encoding lacks (→ in Latin-1, a file name that is not Unicode) is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str]) -> int:
    # Not command.main(): it turns a broken pipe into exit code 1 before anyone here sees it.
    command = typer.main.get_command(app)
    with command.make_context("vsrt", arguments) as context:
        result = command.invoke(context)
    return result if isinstance(result, int) else 0


def _leave(error: BaseException, end: Outcome | None) -> int:
    if end is None:
        traceback.print_exception(error)
        _say("error: this is a defect of videoscene-rt, not of your input")
        _say("  → please report it with the lines above and the output of: vsrt doctor --json")
        return DEFECT
    if end.code == READER_GONE:
        # What is still in the buffer has nowhere to go; without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if end.problem:
        _say(f"error: {_one_line(end.problem)}")
    if end.remedy:
        _say(f"  → {_one_line(end.remedy)}")
    return end.code


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _one_line(text: str) -> str:
    """Lines joined, and what would move a terminal's cursor or change its colour written as an escape."""
    joined = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


if __name__ == "__main__":
    sys.exit(main())
