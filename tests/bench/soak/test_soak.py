"""Soaks of a few seconds: one that keeps its limits, and a leak, a drift and an unequal output that are each found."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from videoscene_rt import Pipeline
from videoscene_rt.bench.soak import measuring
from videoscene_rt.bench.soak.__main__ import main
from videoscene_rt.bench.soak.facts import SoakRecord
from videoscene_rt.engines.errors import BackendError

LOOSE = {
    "host_mib": 64,
    "host_share": 1,
    "python_blocks": 5000,
    "p50_share": 100,
    "p99_share": 100,
    "unserved_share": 1,
}
"""The machine does other work beside the tests."""


@pytest.fixture(autouse=True, scope="module")
def little_to_collect(small_bundle: Path) -> None:
    """What the tests have imported (torch, say) is no garbage: without looking at it again and again, looks take a millisecond."""
    gc.collect()
    gc.freeze()


def run(bundle: Path, out: Path, *options: str, seconds: float = 2.0, limits: dict[str, float] | None = None) -> int:
    told = out / "limits.json"
    told.write_text(json.dumps({**LOOSE, **(limits or {})}))
    return main(
        [
            str(bundle), "--out", str(out / "soak.json"), "--threads", "1", "--minutes", str(seconds / 60), "--every", "0.15",
            "--limits", str(told), *options,
        ]
    )  # fmt: skip


def read(out: Path) -> SoakRecord:
    return SoakRecord.model_validate_json((out / "soak.json").read_text())


def exceeded(record: SoakRecord) -> list[str]:
    return [finding.name for finding in record.findings if finding.held is False]


def test_a_soak_that_keeps_its_limits(small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(small_bundle, tmp_path, "--rate", "30") == 0
    record = read(tmp_path)
    assert (record.schema_version, record.kind, record.state, record.held) == (1, "soak", "done", True)
    assert record.seconds >= 2
    assert record.rate is not None
    assert record.rate.done == record.steps > 10
    assert record.rate.done + record.rate.dropped == record.rate.arrivals
    assert record.looks[0].steps == 0
    assert record.looks[-1].steps == record.steps
    assert {"frames", "coarse", "depth", "hole_mask"} == set(record.output.digests)
    assert record.output.compared == 2 * len(record.looks) - 1, "each slot at each look, with the very first one"
    assert record.counters["ok"] == record.steps + 2 * len(record.looks)
    assert record.scenes[:3] == ("room-11", "room-12", "room-13")
    each = [record.statistics[f"step {name}"] for name in record.scenes]
    assert sum(one.count for one in each) == record.statistics["step"].count
    assert sum(minute.steps for minute in record.minutes) == record.steps
    out = capsys.readouterr().out
    assert "held: output: " in out
    assert "not told: device memory: this device does not say" in out
    assert "EXCEEDED" not in out


def test_a_leak_is_found(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, real = list[object](), Pipeline.step

    def step(self: Pipeline, given: Any, **options: Any) -> Any:
        kept.append(np.ones(2**17))
        return real(self, given, **options)

    monkeypatch.setattr(Pipeline, "step", step)
    assert run(small_bundle, tmp_path, seconds=3.0, limits={"host_mib": 4}) == 3
    assert exceeded(read(tmp_path)) == ["host memory"]
    (line,) = (each for each in capsys.readouterr().err.splitlines() if each.startswith("error: "))
    assert line.startswith("error: the soak exceeded host memory: +")


def test_a_leak_of_small_objects_is_found(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    real = Pipeline.step

    def step(self: Pipeline, given: Any, **options: Any) -> Any:
        kept.extend(object() for _ in range(100))
        return real(self, given, **options)

    monkeypatch.setattr(Pipeline, "step", step)
    assert run(small_bundle, tmp_path, seconds=3.0, limits={"python_blocks": 1000}) == 3
    assert exceeded(read(tmp_path)) == ["Python's memory blocks"]


def test_a_drift_is_found(small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that do nothing but wait, longer and longer: 1 ms at first, thirteen at the end."""
    begin = time.monotonic()

    def step(self: Pipeline, given: Any, **options: Any) -> None:
        time.sleep(0.001 + 0.002 * (time.monotonic() - begin))

    monkeypatch.setattr(Pipeline, "step", step)
    assert run(small_bundle, tmp_path, "--warmup", "0", seconds=6.0, limits={"p50_share": 0.25, "p50_ms": 2}) == 3
    assert exceeded(read(tmp_path)) == ["p50"]


def test_one_bit_of_one_output_is_found(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count, real = itertools.count(), measuring.results

    def results(result: Any) -> Any:
        found = real(result)
        if next(count) == 7:
            found["depth"].view(np.uint8).reshape(-1)[-1] ^= 1
        return found

    monkeypatch.setattr(measuring, "results", results)
    assert run(small_bundle, tmp_path) == 3
    record = read(tmp_path)
    assert exceeded(record) == ["output"]
    assert record.output.unequal == 1
    assert "the first: depth after" in capsys.readouterr().err


def test_a_step_that_fails_ends_it_with_what_was_seen(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count, real = itertools.count(), Pipeline.step

    def step(self: Pipeline, given: Any, **options: Any) -> Any:
        if next(count) == 40:
            raise BackendError("the device fell off the bus")
        return real(self, given, **options)

    monkeypatch.setattr(Pipeline, "step", step)
    assert run(small_bundle, tmp_path) == 3
    record = read(tmp_path)
    assert (record.state, record.problem, record.held) == ("failed", "the device fell off the bus", False)
    assert record.looks
    assert "error: the device fell off the bus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "state", "code"), [(signal.SIGTERM, "interrupted", 143), (signal.SIGKILL, "running", -9)]
)
def test_an_interrupted_soak_says_how_far_it_came(
    small_bundle: Path, tmp_path: Path, number: signal.Signals, state: str, code: int
) -> None:
    out = tmp_path / "soak.json"
    command = [
        sys.executable,
        "-m",
        "videoscene_rt.bench.soak",
        str(small_bundle),
        "--threads",
        "1",
        "--out",
        str(out),
        "--every",
        "0.2",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        end = time.monotonic() + 60
        while not out.exists() and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(number)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.wait()
    record = read(tmp_path)
    assert (record.state, record.held) == (state, None)
    assert record.output.digests
    assert [path.name for path in tmp_path.iterdir()] == ["soak.json"], "nothing half is left"
    if state == "interrupted":
        assert record.steps > 0


def test_inputs_by_a_deadline(small_bundle: Path, tmp_path: Path) -> None:
    assert run(small_bundle, tmp_path, "--rate", "30", "--by-deadline", limits={"threads": 8, "open_files": 8}) == 0
    record = read(tmp_path)
    assert record.settings.by_deadline
    counted = sum(int(record.counters[name]) for name in ("ok", "degraded", "late"))  # type: ignore[arg-type]
    assert counted == record.steps + 2 * len(record.looks)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minutes", "0"], "cannot take 0 minutes"),
        (["--out", "/none/soak.json"], "there is no folder /none"),
        (["--out", "."], "it is a folder"),
        (["--minutes", "nan"], "cannot take nan minutes"),
        (["--every", "0"], "cannot look every 0 s"),
        (["--warmup", "600"], "a warm-up of 600 s is none"),
        (["--deadline", "5"], "a deadline is for a rate"),
        (["--rate", "-1"], "cannot arrive at -1 Hz"),
        (["--backend", "none"], "none"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    tmp_path: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.bundle"), "--out", str(tmp_path / "soak.json"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "soak.json").exists()


_EAGER = """
import sys
from videoscene_rt.bench.soak import measuring
from videoscene_rt.bench.soak.__main__ import main
measuring._WRITE_EVERY_S = 0.3
sys.exit(main())
"""


def test_its_own_records_are_no_growth(small_bundle: Path, tmp_path: Path) -> None:
    """In a process that has not imported yet what the tests have: writing records again and again leaves no block behind."""
    out, limits = tmp_path / "soak.json", tmp_path / "limits.json"
    limits.write_text(json.dumps({**LOOSE, "python_blocks": 500}))
    command = [
        sys.executable, "-c", _EAGER, str(small_bundle), "--threads", "1", "--out", str(out), "--every", "0.15", "--minutes", "0.05",
        "--limits", str(limits), "--rate", "30",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "held: Python's memory blocks: " in done.stdout
    assert done.stderr.count("steps") > 4, "it has written several"


def test_committed_records_are_of_this_schema() -> None:
    """And say what docs/records/reliability/README.md says of them: every limit was kept."""
    folder = Path(__file__).parents[3] / "docs" / "records" / "reliability"
    records = {path.name: SoakRecord.model_validate_json(path.read_text()) for path in folder.glob("soak-*.json")}
    assert {name: (record.state, exceeded(record)) for name, record in records.items()} == {
        "soak-tiny-cpu.json": ("done", []),
        "soak-edge-h100.json": ("done", []),
    }
