"""Engines and their gates as a table, for `vsrt build` and `vsrt inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videoscene_rt.engines.store.records import Gated

_ENGINE_WIDTH = len("reused, kernel")


@dataclass(frozen=True)
class Row:
    """A graph, or the whole step: ``engine`` says where it came from, ``gated`` its verdict (None: it is the reference), ``seconds`` of
    building it; ``damaged``: ``engine`` says what is wrong, and nothing else is known."""

    graph: str
    precision: str
    engine: str
    gated: Gated | None
    seconds: float | None = None
    damaged: bool = False


def print_engines(title: str, rows: Sequence[Row]) -> None:
    """Write the table to standard output."""
    from rich import box
    from rich.table import Table

    from videoscene_rt.cli import console

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, collapse_padding=True)
    for heading in ("graph", "precision", "engine", "gate", "rel. L2", "cosine", "PSNR", "time"):
        least = _ENGINE_WIDTH if heading == "engine" else None
        table.add_column(heading, overflow="fold", no_wrap=heading in ("graph", "precision", "gate"), min_width=least)
    for row in rows:
        time = "" if row.seconds is None else console.seconds(row.seconds)
        cells = ("damaged", "", "", "") if row.damaged else gate_cells(row.gated)
        table.add_row(row.graph, row.precision, row.engine, *cells, time)
    console.RESULT.print(table)


def gate_cells(gated: Gated | None) -> tuple[str, str, str, str]:
    """Verdict, worst relative L2, cosine and PSNR, as text; a figure beyond its limit with the limit."""
    from videoscene_rt.engines.gates.figures import EQUAL_PSNR

    if gated is None:
        return "reference", "", "", ""
    if gated.result is None:
        return gated.status, "", "", ""
    worst = gated.result.overall
    broken = {failure.figure: failure for failure in reversed(gated.result.failures())}

    def shown(figure: str, text: str) -> str:
        failure = broken.get(figure)
        return text if failure is None else f"{text} (limit {failure.limit:g})"

    psnr = "" if worst.psnr is None else "equal" if worst.psnr == EQUAL_PSNR else f"{worst.psnr:.1f} dB"
    unequal = f", {worst.unequal} unequal" if worst.unequal else ""
    nonfinite = f", {worst.nonfinite:,} NaN/Inf" if worst.nonfinite else ""
    return (
        f"{gated.status}{nonfinite}{unequal}",
        shown("relative L2", "NaN" if worst.relative_l2 is None else f"{worst.relative_l2:.1e}"),
        shown("cosine similarity", "" if worst.cosine is None else f"{worst.cosine:.5f}"),
        shown("PSNR", psnr),
    )
