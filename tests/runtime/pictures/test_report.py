"""report.json."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.report import (
    BundleIdentity,
    Checks,
    PointCounts,
    Range,
    RunReport,
    SceneFacts,
    plain,
    write_report,
)


def report(**changes: Any) -> RunReport:
    facts: dict[str, Any] = {
        "scene": SceneFacts(source="scenes/room", images=("a.png 640×480",), trajectory="interpolated"),
        "points": PointCounts(given=500_000, used=400_000),
        "bundle": BundleIdentity(path="tiny.bundle", preset="tiny", manifest_sha256="0" * 64),
        "backend": "onnxruntime",
        "precision": "fp32",
        "device": "cpu",
        "seed": 0,
        "noise": "steady",
        "timestep": 459,
        "timings_ms": {"renderer": 12.5, "student": 40.25},
        "checks": Checks(
            status="ok", hole_fraction=(0.0, 0.25), ranges={"z_0": Range(minimum=-1.0, maximum=1.0, finite=True)}
        ),
    }
    return RunReport(**{**facts, **changes})


def strict_json(path: Path) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = report()
    write_report(tmp_path / "report.json", written)
    document = strict_json(tmp_path / "report.json")
    assert RunReport.model_validate(document) == written
    assert list(document["timings_ms"]) == ["renderer", "student"], "stages stay in the order they ran"
    assert document["created"].endswith("Z")
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_time_is_utc_whatever_the_zone(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=9))
    write_report(tmp_path / "r.json", report(created=datetime(2026, 1, 1, 8, 30, tzinfo=zone)))
    assert strict_json(tmp_path / "r.json")["created"] == "2025-12-31T23:30:00Z"


def test_not_a_number_becomes_null(tmp_path: Path) -> None:
    write_report(tmp_path / "r.json", report(timings_ms={"a": math.nan, "b": math.inf, "c": 1.0}))
    assert strict_json(tmp_path / "r.json")["timings_ms"] == {"a": None, "b": None, "c": 1.0}


def test_numpy_and_paths_have_a_form() -> None:
    value = {
        "n": np.float32(0.5),
        "i": np.int64(3),
        "a": np.array([[1.0, np.nan]]),
        "p": Path("out/a.mp4"),
        1: (True, None),
    }
    assert plain(value) == {"n": 0.5, "i": 3, "a": [[1.0, None]], "p": "out/a.mp4", "1": [True, None]}


def test_what_has_no_form_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object has no form"):
        write_report(tmp_path / "r.json", {"x": object()})
    assert not any(tmp_path.iterdir())


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(value=_values)
def test_whatever_goes_in_is_json(value: Any) -> None:
    json.loads(json.dumps(plain(value), allow_nan=False))


def test_file_names_that_are_not_unicode_do_not_break_it(tmp_path: Path) -> None:
    write_report(tmp_path / "r.json", {"file": "a\udcff.png", "unit": "°"})
    assert strict_json(tmp_path / "r.json")["unit"] == "°"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone does not exist"):
        write_report(tmp_path / "gone" / "r.json", report())


@pytest.mark.parametrize("changes", [{"timestep": 1000}, {"extra": 1}, {"points": {"given": -1, "used": 0}}])
def test_a_report_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        report(**changes)


def test_range_looks_past_what_is_not_finite() -> None:
    assert Range.of(np.array([1.0, -2.0, 3.0])) == Range(minimum=-2.0, maximum=3.0, finite=True)
    assert Range.of(np.array([1.0, np.nan, np.inf])) == Range(minimum=1.0, maximum=1.0, finite=False)
    assert Range.of(np.array([np.nan])) == Range(minimum=None, maximum=None, finite=False)
    assert Range.of(np.array([0, 255], np.uint8)) == Range(minimum=0.0, maximum=255.0, finite=True)
    assert not report(
        checks=Checks(status="ok", hole_fraction=(), ranges={"z": Range.of(np.array([np.nan]))})
    ).checks.finite


def test_thinning_is_told() -> None:
    assert PointCounts(given=10, used=9).thinned
    assert not PointCounts(given=9, used=9).thinned
