"""What CI holds the preset `tiny` to on a CPU, whatever else the machine has to do: counts and ratios, no time of a clock.

`vsrt bench` measures it once. Its record is held to budgets, and with ``--against … --portable`` to the committed record of an earlier day.
A budget that has to grow is changed here, in the open; the reference is measured again with the command that `REFERENCE` names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.cli.main import main

REFERENCE = Path(__file__).parent / "reference" / "tiny-cpu.json"
"""vsrt bench tiny.bundle --mode rate --steps 1 --starts 0 --out DIR, and DIR/record.json."""

BUDGETS: tuple[tuple[str, float, Callable[[Record], float | None]], ...] = (
    ("Python instructions of a step", 25_000, lambda r: r.costs and r.costs.bytecodes["scene"]),
    ("bytes of Python's memory in a step", 400_000, lambda r: r.costs and r.costs.python_transient_bytes),
    ("objects that a step leaves behind", 64, lambda r: r.costs and r.costs.python_blocks),
    ("a step over the chain alone", 1.25, lambda r: r.costs and r.costs.step_over_chain and r.costs.step_over_chain[0]),
    (
        "the share of a step in which no stage runs",
        0.05,
        lambda r: r.chain and r.chain.overlap and r.chain.overlap.idle_ms / r.chain.overlap.span_ms,
    ),
    ("bytes of the arena", 20 << 20, lambda r: r.chain and r.chain.arena_bytes + r.chain.mapped_bytes),
    ("bytes copied to the device", 0, lambda r: r.chain and sum(r.chain.uploaded_bytes.values())),
    ("stages of a step", 7, lambda r: r.chain and len(r.chain.stages)),
    ("microseconds of the harness for a step", 20, lambda r: r.overhead_us),
    ("microseconds of the harness for an arrival", 20, lambda r: r.rate and r.rate.overhead_us),
)
"""What, at most, and where it stands in the record."""


@pytest.fixture(scope="module")
def measured(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny-bench")
    words = ("bench", tiny_bundle, "--out", out, "--mode", "rate", "--steps", 1, "--starts", 0)
    assert main([str(word) for word in words]) == 0
    return out / "record.json"


@pytest.mark.parametrize(("what", "most", "found"), BUDGETS, ids=[what for what, _, _ in BUDGETS])
def test_budgets(measured: Path, what: str, most: float, found: Callable[[Record], float | None]) -> None:
    value = found(read_record(measured))
    assert value is not None
    assert value <= most, f"{what}: {value:,} is over its budget of {most:,}"


def test_nothing_is_worse_than_it_was(measured: Path, tmp_path: Path) -> None:
    assert main(["bench", str(measured), "--against", str(REFERENCE), "--portable", "--out", str(tmp_path)]) == 0
    lines = (tmp_path / "against.md").read_text().splitlines()
    assert len(lines) >= 2 + 5
    assert not any("worse" in line for line in lines)
