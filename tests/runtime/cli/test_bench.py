"""`vsrt bench` as a user types it: what it writes, what it says, how it refuses, when its exit code is 3."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.scenes import scene
from videoscene_rt.bench.record import Record, read_record, write_record
from videoscene_rt.bench.step import loaded, measuring
from videoscene_rt.cli.main import main
from videoscene_rt.scenes.scene_folder import save_scene

Capture = pytest.CaptureFixture[str]
FILES = ["frames.jpg", "record.json", "report.html", "table.md"]
QUICK = ("--steps", 9, "--starts", 1, "--threads", 1)


def run(*words: object) -> int:
    return main(["bench", *(str(word) for word in words)])


def refused(capsys: Capture, code: int, *words: object) -> str:
    """Run it; it must fail with this exit code, one error and one remedy at most; they are given back."""
    assert run(*words) == code
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines.index(errors[0]) >= len(lines) - 2
    assert not any("Traceback" in line for line in lines)
    return "\n".join(lines[lines.index(errors[0]) :])


@pytest.fixture(scope="module")
def measured(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one measurement."""
    out = tmp_path_factory.mktemp("bench") / "deep" / "out"
    assert run(small_bundle, "--out", out, *QUICK) == 0
    return out


@pytest.fixture(scope="module")
def record(measured: Path) -> Record:
    return read_record(measured / "record.json")


def test_it_writes_four_files(measured: Path, record: Record) -> None:
    assert sorted(path.name for path in measured.iterdir()) == FILES
    assert record.frames is not None
    assert hashlib.sha256((measured / "frames.jpg").read_bytes()).hexdigest() == record.frames.sha256
    assert "data:image/jpeg;base64," in (measured / "report.html").read_text()
    assert "| `step.scene` | 9 |" in (measured / "table.md").read_text()


def test_every_part_is_in_the_record(record: Record) -> None:
    assert record.schema_version == 2
    assert "the weights are untrained (made from a seed): the refined frames are noise" in record.notes
    assert {"host", "enqueue", "step.scene", "rate.age", "rate.step", "stream.first-frame", "stream.spacing"} <= set(
        record.statistics
    )
    assert {record.statistics[name].count for name in ("host", "step.scene")} == {9}
    assert record.overhead_us is not None
    assert 0 < record.overhead_us < 200
    assert record.rate is not None
    assert record.rate.done + record.rate.dropped == record.rate.arrivals == 9
    assert record.stream is not None
    assert record.stream.group == 4
    assert record.stream.how == "streamed: 1 + 2 × 4 frames, each chunk on the host while the next is computed"
    first, last = (record.statistics[f"stream.{name}-frame"] for name in ("first", "last"))
    assert 0 < first.min <= first.p50 <= last.p50
    assert record.stages is not None
    spans = record.stages.uncaptured
    assert record.stages.sum_ms == pytest.approx(sum(span.end_ms - span.start_ms for span in spans))
    assert record.stages.whole_ms == pytest.approx(record.statistics["host"].p50)
    for one, following in pairwise(spans):
        assert one.end_ms <= following.start_ms, "on the CPU one stage runs after the other"
    assert record.chain is not None
    assert {span.stage for span in record.stages.uncaptured} == {span.stage for span in record.chain.stages}
    assert record.start is not None
    assert len(record.start.warm_s) == 1
    assert record.start.load_s > 0
    assert record.beside is not None
    assert record.beside.host_before is not None
    assert record.costs is not None
    assert record.costs.step_over_chain is not None
    assert record.costs.bytecodes["scene"] > 1000


def test_a_scene_a_mode_and_a_baseline_that_cannot_run(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = save_scene(scene(), tmp_path / "scene")
    told = (
        "--scene",
        folder,
        "--mode",
        "rate",
        "--rate",
        0.5,
        "--deadline",
        60000,
        "--by-deadline",
        "--steps",
        1,
        "--starts",
        0,
        "--threads",
        1,
    )
    baseline = ("--baseline", "torch-eager", "--baseline-python", f"{sys.executable} -S")
    assert run(small_bundle, "--out", tmp_path / "out", *told, *baseline, "--json") == 3, "it was asked for by name"
    said = capsys.readouterr()
    assert "the measurement is not whole: baseline torch-eager: its process ended with 1; its last words: " in said.err
    found = json.loads(said.out)
    assert found["inputs"]["source"].startswith("1-scene ")
    assert (found["rate"]["rate_hz"], found["rate"]["deadline_ms"]) == (0.5, 60000)
    assert found["rate"]["statuses"] == {"ok": 1}
    assert "by the deadline: ok 1" in found["notes"]
    assert found["stream"] is None
    assert "step.scene" not in found["statistics"]
    assert found["start"]["warm_s"] == []
    assert list(found["failures"]) == ["baseline torch-eager"]
    assert f"no baseline torch-eager: {found['failures']['baseline torch-eager']}" in found["notes"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "did not run: " in page
    assert "What failed" in page
    assert "No module named" in (tmp_path / "out" / "failures.log").read_text()


QUICKER = ("--mode", "closed", "--steps", 2, "--starts", 0, "--threads", 1)


def test_a_part_that_fails_does_not_take_the_others_with_it(
    small_bundle: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **named: Any) -> Any:
        raise ZeroDivisionError("nobody thought of this\nand more")

    monkeypatch.setattr(measuring, "roofline_facts", broken)
    monkeypatch.setattr(loaded, "growth", broken)
    words = refused(capsys, 3, small_bundle, "--out", tmp_path, *QUICKER)
    assert words.startswith(
        "error: the measurement is not whole: memory and copies: ZeroDivisionError: nobody thought of this; roofline: "
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, "failures.log"])
    found = read_record(tmp_path / "record.json")
    assert found.failures == dict.fromkeys(
        ("memory and copies", "roofline"), "ZeroDivisionError: nobody thought of this"
    )
    assert found.costs is not None, "what the part had found until then"
    assert found.stages is not None
    assert found.start is not None
    assert "step.scene" in found.statistics
    page = (tmp_path / "report.html").read_text()
    assert "failed: memory and copies, roofline" in page
    assert "What failed" in page
    assert "**failed**: roofline: ZeroDivisionError" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "failures.log").read_text().count("Traceback") == 2


def test_what_there_is_stays_when_it_is_ended(
    small_bundle: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By SIGTERM in one of the last parts: exit code 143, and everything of the parts before it is written."""
    kept = []

    def ended(*given: Any) -> Any:
        kept.append(read_record(tmp_path / "record.json"))
        raise SystemExit(143)

    monkeypatch.setattr(measuring, "start_facts", ended)
    assert "error: terminated" in refused(capsys, 143, small_bundle, "--out", tmp_path, *QUICKER)
    assert list(kept[0].failures) == ["the rest"], "a process that is killed outright leaves this"
    assert "during or after 'roofline'" in kept[0].failures["the rest"]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    found = read_record(tmp_path / "record.json")
    assert "during or after 'starting anew'" in found.failures["the rest"]
    assert (found.start, found.stages is not None, found.roofline is not None) == (None, True, True)


def test_a_record_is_drawn_again(measured: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(measured / "record.json", "--out", tmp_path) == 0
    assert (tmp_path / "report.html").read_bytes() == (measured / "report.html").read_bytes()
    assert (tmp_path / "table.md").read_bytes() == (measured / "table.md").read_bytes()
    assert not (tmp_path / "record.json").exists()
    assert str(tmp_path / "report.html") in capsys.readouterr().out


def test_a_rate_that_nobody_can_meet_is_measured_and_is_exit_code_3(
    small_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    told = ("--mode", "rate", "--rate", 5000, "--steps", 20, "--starts", 0, "--threads", 1)
    words = refused(capsys, 3, small_bundle, "--out", tmp_path, *told)
    assert words.startswith("error: 5000 Hz is not met: of 20 inputs ")
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert "5000 Hz not met" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (("--rate", 1e9), "inputs cannot arrive at 1e+09 Hz"),
        (("--rate", 0), "inputs cannot arrive at 0 Hz"),
        (("--rate", "nan"), "inputs cannot arrive at nan Hz"),
        (("--steps", 0), "zero samples would be taken: --steps is at least 1"),
        (("--seconds", -1), "--seconds from 0 to 86,400"),
        (("--by-deadline", "--ladder", "no/such.json"), "no/such.json"),
        (("--ladder", "ladder.json"), "a ladder is for --by-deadline"),
        (("--by-deadline", "--mode", "closed"), "a ladder are for --mode rate"),
        (("--mode", "fast"), "there is no mode 'fast'\n  → choose of closed, rate, streaming"),
        (("--portable",), "--portable is for --against, which is not given"),
        (("--backend", "abacus"), "abacus"),
        (("--memory", "holy"), "there is no memory 'holy'"),
        (("--scene", "no/such/scene"), "no/such/scene: no such folder"),
        (("--baseline", "jax"), "there is no baseline 'jax'"),
        (("--baseline", "torch-eager", "--baseline-python", "/no/such/python -S"), "there is no such program"),
        (("--baseline", "torch-eager", "--baseline-python", "python 'unfinished"), "is no command line"),
        (("--baseline", "torch-eager", "--baseline-limit", 0), "cannot be there within 0 s"),
        (("--baseline", "onnxruntime"), "is what is measured"),
        (("--against", "no/such.json"), "no/such.json cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    small_bundle: Path, tmp_path: Path, capsys: Capture, told: tuple[object, ...], words: str
) -> None:
    assert words in refused(capsys, 2, small_bundle, "--out", tmp_path / "out", *told)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_measured(
    small_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    assert "is not a folder" in refused(capsys, 2, small_bundle, "--out", tmp_path / "file" / "out")
    assert "no such folder" in refused(capsys, 2, tmp_path / "none.bundle", "--out", tmp_path / "out")
    assert "one bundle is measured at a time" in refused(
        capsys, 2, small_bundle, small_bundle, "--out", tmp_path / "out"
    )


def test_records_side_by_side(measured: Path, tmp_path: Path, capsys: Capture) -> None:
    path = measured / "record.json"
    assert run("--compare", path, path, "--out", tmp_path) == 0
    page = (tmp_path / "compare.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert str(tmp_path / "compare.html") in capsys.readouterr().out
    assert "one record is no comparison" in refused(capsys, 2, "--compare", path, "--out", tmp_path)
    assert "two questions" in refused(capsys, 2, "--compare", path, path, "--out", tmp_path, "--against", path)


def test_frames_of_another_record_are_not_shown(measured: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes((measured / "record.json").read_bytes())
    (tmp_path / "frames.jpg").write_bytes(b"another")
    path = tmp_path / "record.json"
    assert run("--compare", path, path, "--out", tmp_path) == 0
    assert "data:image/jpeg" not in (tmp_path / "compare.html").read_text()


def slower(record: Record, path: Path) -> Path:
    """The record, as if everything had taken half as long again."""
    found = {
        name: {
            key: value if key == "count" or value is None else value * 1.5 for key, value in one.model_dump().items()
        }
        for name, one in record.statistics.items()
    }
    data: dict[str, Any] = {**json.loads(record.model_dump_json()), "statistics": found, "samples_us": None}
    path.write_text(json.dumps(data))
    return path


def test_against_a_record(measured: Path, record: Record, tmp_path: Path, capsys: Capture) -> None:
    """A record can stand in the place of a bundle, so that nothing is measured."""
    now, late = measured / "record.json", slower(record, tmp_path / "late.json")
    assert run(now, "--against", now, "--out", tmp_path) == 0
    assert run(now, "--against", late, "--out", tmp_path) == 0, "faster is not worse"
    words = refused(capsys, 3, late, "--against", now, "--out", tmp_path)
    assert words.startswith("error: worse than the record of ")
    assert "step.scene p50" in words
    assert "+50.0%" in words
    assert "**worse**" in (tmp_path / "against.md").read_text()
    assert run(late, "--against", now, "--out", tmp_path, "--portable") == 0, "time is not compared"


def test_against_another_recipe(measured: Path, record: Record, tmp_path: Path, capsys: Capture) -> None:
    other = tmp_path / "other.json"
    write_record(
        other, record.model_copy(update={"identity": record.identity.model_copy(update={"precision": "fp16"})})
    )
    words = refused(capsys, 2, measured / "record.json", "--against", other, "--out", tmp_path)
    assert "recipe mismatch: precision was fp16, is fp32" in words


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "it may be truncated"),
        (lambda text: text.replace('"schema_version": 2', '"schema_version": 7'), "has schema version 7; this videoscene-rt reads 1 and 2"),
        (lambda text: text.replace('"count": 9', '"count": 0', 1), "has zero samples: nothing was measured"),
        (lambda text: "{}", "it has no schema_version"),
        (lambda text: text.replace('"whole_ms": ', '"whole_ms": -'), "stages.whole_ms"),
    ],
)  # fmt: skip
def test_damaged_records(measured: Path, tmp_path: Path, capsys: Capture, damage: Any, words: str) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(damage((measured / "record.json").read_text()))
    assert words in refused(capsys, 2, "--compare", path, measured / "record.json", "--out", tmp_path)
    assert words in refused(capsys, 2, measured / "record.json", "--against", path, "--out", tmp_path)


def test_nothing_of_it_is_imported_by_the_others() -> None:
    code = (
        "import sys, videoscene_rt; from videoscene_rt.cli import run, main\n"
        "assert main.main(['--help']) == 0\n"
        "assert not [name for name in sys.modules if 'videoscene_rt.bench' in name]"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
