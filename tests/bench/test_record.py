"""A record comes back as it was written, and anything else is refused in words."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.records import record
from videoscene_rt.bench.record import Statistics, read_record, write_record
from videoscene_rt.bench.surroundings import GpuState, host, parse_gpu_state
from videoscene_rt.engines.errors import InputError


def test_it_comes_back(tmp_path: Path) -> None:
    written = record(np.random.default_rng(0).gamma(2, 3, 700))
    write_record(tmp_path / "r.json", written)
    assert read_record(tmp_path / "r.json") == written
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_samples_are_kept_to_a_tenth_of_a_microsecond() -> None:
    kept = record(np.array([0.0012349, 1.5])).samples_us
    assert kept == {"host": [1.2, 1500.0]}


def test_the_computers_name_is_not_in_it() -> None:
    assert platform.node() not in host().model_dump_json()


def change(where: tuple[str, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(data: dict[str, Any]) -> None:
        for key in where[:-1]:
            data = data[key]
        data[where[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (change(("schema_version",), 3), "schema version 3; this videoscene-rt reads 1 and 2"),
        (change(("schema_version",), True), "schema version True"),
        (change(("schema_version",), "1"), "schema version '1'"),
        (lambda data: data.pop("schema_version"), "no schema_version"),
        (change(("statistics", "host", "count"), 0), "host has zero samples"),
        (change(("statistics",), {}), "statistics"),
        (change(("statistics", "host", "mean"), -1.0), "statistics.host.mean"),
        (change(("statistics", "host", "p50"), None), "statistics.host.p50"),
        (change(("statistics", "host", "count"), 63), "p90 is given for 64 samples"),
        (change(("statistics", "host", "p99"), 2.0), "p99 is given for 662 samples"),
        (change(("samples_us", "host"), [1.0]), "samples_us.host has 1 samples"),
        (change(("identity", "bundle_sha256"), "none"), "identity.bundle_sha256"),
        (change(("surprise",), 1), "surprise"),
    ],
)
def test_another_schema_or_impossible_figures_are_refused(
    tmp_path: Path, damage: Callable[[dict[str, Any]], None], words: str
) -> None:
    data = json.loads(record().model_dump_json())
    damage(data)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        read_record(path)


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a": 1}', "\xff"])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match="no benchmark record|not whole JSON"):
        read_record(path)


def test_a_truncated_one_is_refused_wherever_it_ends(tmp_path: Path) -> None:
    text = record().model_dump_json()
    path = tmp_path / "r.json"
    for end in range(0, len(text) - 1, 97):
        path.write_text(text[:end])
        with pytest.raises(InputError, match="truncated"):
            read_record(path)


def test_a_missing_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_record(tmp_path / "none.json")


def test_zero_samples_make_no_statistics() -> None:
    with pytest.raises(InputError, match="zero samples"):
        Statistics.of([])


def test_nvidia_smi_is_understood() -> None:
    assert parse_gpu_state("1980, 2619, 41, 123.45, 700.00, 0x0000000000000004\n") == GpuState(
        sm_clock_mhz=1980,
        memory_clock_mhz=2619,
        temperature_c=41,
        power_w=123.45,
        power_limit_w=700,
        throttle_reasons="0x0000000000000004",
    )
    assert parse_gpu_state("1980, [N/A], 41, [Not Supported], 700.00, [N/A]") == GpuState(
        sm_clock_mhz=1980, temperature_c=41, power_limit_w=700
    )
    for text in ("", "No devices were found", "1, 2"):
        assert parse_gpu_state(text) is None
