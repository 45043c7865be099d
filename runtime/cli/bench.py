"""`vsrt bench`: measure a bundle's step, put records side by side, hold one against another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from videoscene_rt.engines.errors import BackendError, InputError

if TYPE_CHECKING:
    from videoscene_rt.bench.record import Record
    from videoscene_rt.bench.step.found import Measured
    from videoscene_rt.bench.step.request import BenchRequest, Mode
    from videoscene_rt.ladder import Ladder

_MODES: dict[str, Mode] = {"closed": "closed", "rate": "rate", "streaming": "stream"}
"""The words for each mode."""


def bench(
    what: Annotated[
        list[Path],
        typer.Argument(metavar="BUNDLE", help="The bundle; with --compare, records; a record alone is drawn again."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for record.json, report.html, table.md and frames.jpg.")],
    backend: Annotated[
        str, typer.Option(metavar="onnxruntime|onnxruntime-cuda|tensorrt|tensorrt-rtx", help="What runs the graphs.")
    ] = "onnxruntime",
    precision: Annotated[str, typer.Option(metavar="fp32|fp16|int8", help="A ceiling, as it was built.")] = "fp32",
    scene: Annotated[Path | None, typer.Option(help="A scene folder; a built-in room if not given.")] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(metavar="closed|rate|streaming", help="How load is put on it; once for each, all if not given."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="HZ", help="Inputs a second, 20 if not given. Exit code 3 if most of them go unserved."),
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(metavar="MS", help="From an input's arrival to its result; one period if not given.")
    ] = None,
    by_deadline: Annotated[
        bool, typer.Option("--by-deadline", help="Results at the rate come by the deadline, coarse where it must be.")
    ] = False,
    ladder: Annotated[
        Path | None, typer.Option(metavar="JSON", help="For --by-deadline: the rungs and when to change them.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each series, at least; 64 if not given.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Of each series, at least; 3 if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Threads for one operator on the CPU.")] = None,
    memory: Annotated[str, typer.Option(metavar="auto|mapped|copied", help="Where inputs and results lie.")] = "auto",
    encoder: Annotated[
        str | None, typer.Option(metavar="full|tiny", help="Of a bundle that has both; its first if not given.")
    ] = None,
    decoder: Annotated[str | None, typer.Option(metavar="full|tiny", help="Likewise.")] = None,
    starts: Annotated[int, typer.Option(min=0, help="Processes that start warm, to time them.")] = 3,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            metavar="all|torch-eager|torch-compile|torch-reduce-overhead|onnxruntime|onnxruntime-cuda",
            help="Something to take turns with; once for each.",
        ),
    ] = None,
    baseline_python: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="An interpreter for them, where this one has no torch.")
    ] = None,
    baseline_limit: Annotated[
        float, typer.Option(metavar="S", help="How long one may take until its first step is done.")
    ] = 900.0,
    checkpoint: Annotated[Path | None, typer.Option(help="For torch, of a bundle that was made from one.")] = None,
    kernels: Annotated[
        Path | None, typer.Option(metavar="LIBRARY", help="For torch on a GPU: the native renderer (make native).")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Put the records named on one page.")] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="RECORD", help="Exit code 3 if anything is worse than in this record.")
    ] = None,
    portable: Annotated[
        bool, typer.Option("--portable", help="--against: counts and ratios alone, so that the machines may differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the record as one JSON document.")] = False,
) -> None:
    """Measure a bundle's step: a record, a page, a table.

    In a closed loop, at a fixed rate, and streamed.

    With --compare, no bundle is run: vsrt bench --compare A/record.json B/record.json --out DIR
    """
    from videoscene_rt.bench.step.folder import check_out
    from videoscene_rt.bench.step.request import BenchRequest

    check_out(out)
    if portable and against is None:
        raise InputError("--portable is for --against, which is not given", "add --against RECORD")
    if compare:
        _compare(what, out, against)
        return
    if len(what) != 1:
        raise InputError("one bundle is measured at a time", "several records go on one page with --compare")
    request = BenchRequest(
        bundle=what[0],
        backend=backend,
        precision=precision,
        scenes=() if scene is None else (scene,),
        modes=tuple(_mode(word) for word in mode or _MODES),
        rate_hz=rate,
        deadline_ms=deadline,
        ladder=_ladder(by_deadline, ladder),
        steps=steps,
        seconds=seconds,
        seed=seed,
        threads=threads,
        memory=memory,  # type: ignore[arg-type]  # so is this
        encoder=encoder,  # type: ignore[arg-type]  # and these
        decoder=decoder,  # type: ignore[arg-type]
        starts=starts,
        baselines=tuple(baseline or ()),
        baseline_python=baseline_python,
        baseline_limit_s=baseline_limit,
        checkpoint=checkpoint,
        kernels=kernels,
    )
    if against is None and what[0].is_file():
        _draw(what[0], out)
        return
    before = None if against is None else _read(against)
    record = _read(what[0]) if before is not None and what[0].is_file() else _measure(request, out, quiet=as_json)
    if as_json:
        from videoscene_rt.cli import console
        from videoscene_rt.pictures.report import plain

        console.print_json(plain(record))
    if before is not None:
        _hold(record, before, out, portable=portable, quiet=as_json)
    _check_whole(record, out)
    _check_rate(record, asked=rate is not None)


def _mode(word: str) -> Mode:
    if word not in _MODES:
        raise InputError(f"there is no mode {word!r}", f"choose of {', '.join(_MODES)}")
    return _MODES[word]


def _ladder(wanted: bool, path: Path | None) -> Ladder | None:
    from videoscene_rt.ladder import Ladder

    if path is not None and not wanted:
        raise InputError("a ladder is for --by-deadline, which is not asked for", "add --by-deadline")
    if not wanted:
        return None
    return Ladder() if path is None else Ladder.read(path)


def _read(path: Path) -> Record:
    from videoscene_rt.bench.record import read_record

    return read_record(path)


def _measure(request: BenchRequest, out: Path, *, quiet: bool) -> Record:
    from videoscene_rt.bench.report.table import markdown_table
    from videoscene_rt.bench.step.folder import REPORT, keep_measured, write_measured
    from videoscene_rt.bench.step.measuring import measure_step, parts_of
    from videoscene_rt.cli import console

    request = request.checked()
    with console.progress("measuring", parts_of(request) + 1, quiet=quiet) as step:
        latest: list[Measured] = []
        started = False

        def tell(what: str) -> None:
            nonlocal started
            step(float(started), what)
            started = True

        def keep(measured: Measured) -> None:
            latest[:] = [measured]
            keep_measured(out, measured)

        try:
            measured = measure_step(request, tell, keep=keep)
        except (KeyboardInterrupt, SystemExit):
            if latest:
                write_measured(out, latest[0])
            raise
        tell("writing")
        record = write_measured(out, measured)
    if not quiet:
        console.RESULT.print(markdown_table(record), soft_wrap=True)
        console.RESULT.print(f"  {out / REPORT}", soft_wrap=True)
    return record


def _draw(path: Path, out: Path) -> None:
    from videoscene_rt.bench.step.folder import REPORT, frames_of, make, write_pages
    from videoscene_rt.cli import console

    record = _read(path)
    make(out)
    write_pages(out, record, frames_of(path, record))
    console.RESULT.print(f"  {out / REPORT}", soft_wrap=True)


def _check_whole(record: Record, out: Path) -> None:
    if record.failures:
        from videoscene_rt.bench.step.folder import FAILED, REPORT

        told = "; ".join(f"{name}: {why}" for name, why in record.failures.items())
        where = FAILED if (out / FAILED).exists() else REPORT
        raise BackendError(
            f"the measurement is not whole: {told}", f"what there is has been written; see {out / where}"
        )


def _compare(what: list[Path], out: Path, against: Path | None) -> None:
    from videoscene_rt.bench.report.compare_page import compare_page, named_records
    from videoscene_rt.bench.step.folder import frames_of, make, write_text
    from videoscene_rt.cli import console

    if against is not None:
        raise InputError("--compare and --against are two questions", "ask one at a time")
    records = named_records([(path, _read(path)) for path in what])
    page = compare_page(records, [frames_of(path, record) for path, (_, record) in zip(what, records, strict=True)])
    make(out)
    write_text(out / "compare.html", page)
    console.RESULT.print(f"  {out / 'compare.html'}", soft_wrap=True)


def _hold(record: Record, before: Record, out: Path, *, portable: bool, quiet: bool) -> None:
    from videoscene_rt.bench.gate import gate, gate_table
    from videoscene_rt.bench.step.folder import make, write_text
    from videoscene_rt.cli import console

    found = gate(record, before, portable=portable)
    make(out)
    write_text(out / "against.md", gate_table(found))
    if not quiet:
        console.RESULT.print(gate_table(found), soft_wrap=True)
    worse = [finding.words for finding in found if finding.worse]
    if worse:
        raise BackendError(
            f"worse than the record of {before.created:%Y-%m-%d}: {'; '.join(worse)}", f"see {out / 'against.md'}"
        )


def _check_rate(record: Record, *, asked: bool) -> None:
    if asked and record.rate is not None and record.rate.verdict == "not met":
        from videoscene_rt.bench.step.loads import rate_words

        raise BackendError(rate_words(record.rate), "a lower --rate, a longer --deadline, or a faster backend")
