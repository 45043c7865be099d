"""`vsrt inspect --schedule` and `--timeline`, as a user types them."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Schedule, schedule
from videoscene_rt.cli.inspect_schedule import lane_lines, read_timeline
from videoscene_rt.cli.main import main
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import Manifest

Capture = pytest.CaptureFixture[str]


def manifest(bundle: Path) -> Manifest:
    return Bundle.open(bundle).manifest


def scheduled(bundle: Path, timestep: int | None = None) -> Schedule:
    return schedule(plan_chain(manifest(bundle), timestep))


def recorded(found: Schedule) -> list[dict[str, Any]]:
    """A timeline of a schedule: a millisecond a stage, one after the other."""
    return [asdict(StageTime(p.stage, p.lane, float(i), i + 0.9)) for i, p in enumerate(found.placed)]


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.size


def run(*words: object) -> int:
    return main([str(word) for word in words])


def refused(capsys: Capture, *words: object) -> str:
    assert run("inspect", *words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") <= 4, "two lines, and two of progress"
    return said.err


def test_the_schedule_is_drawn_and_told(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "s.png"
    assert run("inspect", small_bundle, "--schedule", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("lane ")] == lane_lines(scheduled(small_bundle))
    assert any(str(out) in line for line in lines)
    assert size(out)[0] == 1200
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_the_published_autoencoders_chunks_are_stages_in_order(
    published_bundle: Path, tmp_path: Path, capsys: Capture
) -> None:
    assert run("inspect", published_bundle, "--schedule", tmp_path / "s.png") == 0
    text = capsys.readouterr().out
    assert "render ▸ encode_0 ▸ encode_1 ▸" in text
    assert "decode_0" in text
    assert size(tmp_path / "s.png")[0] == 1200


def test_json_has_the_schedule_where_it_was_asked_for(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run("inspect", small_bundle, "--json", "--schedule", tmp_path / "s.png") == 0
    document = json.loads(capsys.readouterr().out)
    found = document["schedule"]
    assert [entry["stage"] for entry in found] == [stage.name for stage in plan_chain(manifest(small_bundle)).stages]
    student = next(entry for entry in found if entry["stage"] == "student")
    assert student == {"stage": "student", "graph": "student", "lane": 0, "waits": ["encode_images"]}
    assert run("inspect", small_bundle, "--json") == 0
    assert "schedule" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "form",
    [
        lambda times: times,
        lambda times: {"gpu": "H100", "timeline": times},
        lambda times: {"identity": {}, "chain": {"stages": times}},
    ],
)
def test_a_recorded_timeline_is_drawn_to_scale(small_bundle: Path, tmp_path: Path, capsys: Capture, form: Any) -> None:
    record = tmp_path / "r.json"
    record.write_text(json.dumps(form(recorded(scheduled(small_bundle)))))
    assert run("inspect", small_bundle, "--schedule", tmp_path / "plain.png") == 0
    assert run("inspect", small_bundle, "--schedule", tmp_path / "timed.png", "--timeline", record) == 0
    assert size(tmp_path / "timed.png")[1] > size(tmp_path / "plain.png")[1], "it has an axis"


def test_a_step_with_a_fixed_timestep_has_no_policy_in_its_timeline(small_bundle: Path, tmp_path: Path) -> None:
    record = tmp_path / "r.json"
    record.write_text(json.dumps(recorded(scheduled(small_bundle, timestep=459))))
    assert run("inspect", small_bundle, "--schedule", tmp_path / "s.png", "--timeline", record) == 0


def test_a_timeline_of_another_chain_is_refused(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    record = tmp_path / "r.json"
    record.write_text(json.dumps(recorded(scheduled(small_bundle))).replace('"encode"', '"encode_0"'))
    said = refused(capsys, small_bundle, "--schedule", tmp_path / "s.png", "--timeline", record)
    assert "not of this schedule: stages differ: encode, encode_0" in said
    assert not (tmp_path / "s.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--timeline", "r.json"], "--timeline is drawn into a picture"),
        (["--schedule", "s.jpg"], "--schedule writes a PNG, and s.jpg"),
        (["--schedule", "s.png", "--timeline", "gone.json"], "gone.json cannot be read: No such file"),
    ],
)
def test_options_that_cannot_be_are_refused_before_the_bundle_is_read(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "no bundle", *words)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no timeline"),
        ("[[[[", "is no timeline"),
        ("[" * 100_000, "is no timeline"),
        ("3", "is no timeline"),
        ("{}", "holds no timeline"),
        ("[]", "holds no timeline"),
        ('[{"stage": "render", "lane": 0, "start_ms": 1}]', "0.end_ms: Field required"),
        (
            '[{"stage": "render", "lane": "main", "start_ms": 0, "end_ms": 1}]',
            "0.lane: Input should be a valid integer",
        ),
    ],
)
def test_what_is_no_timeline_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_timeline(path)


def test_a_folder_that_is_not_there_is_named(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "does not exist" in refused(capsys, small_bundle, "--schedule", tmp_path / "gone" / "s.png")


def test_an_altered_bundle_is_not_drawn(small_bundle: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = shutil.copytree(small_bundle, tmp_path / "b")
    (copy / "manifest.json").write_text("{}")
    refused(capsys, copy, "--schedule", tmp_path / "s.png")
    assert not (tmp_path / "s.png").exists()


def test_lanes_are_told_by_what_they_wait_for() -> None:
    from tests.runtime.pictures.schedules import THREE_LANES

    assert lane_lines(THREE_LANES) == [
        "lane 0: a ▸ d (after c) ▸ end (after e, f)",
        "lane 1: b (after a) ▸ e (after d)",
        "lane 2: c (after a, b) ▸ f",
    ]
