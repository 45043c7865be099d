"""Records of whole steps as tables: every figure comes from a record, and a target says whether it is met."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.records import record
from videoscene_rt.bench.chain_facts import ChainFacts, Growth, Throughput
from videoscene_rt.bench.chain_table import main, markdown
from videoscene_rt.bench.overlap import StageSpan, overlap
from videoscene_rt.bench.record import Record, Statistics, write_record

SPANS = (
    StageSpan(stage="render", lane=0, start_ms=0.0, end_ms=0.25),
    StageSpan(stage="encode_images", lane=1, start_ms=0.125, end_ms=0.625),
)
FACTS = ChainFacts(
    captured=True, slots=2, memory="copied", num_points=3000, timestep=499, arena_bytes=5 << 20, mapped_bytes=16,
    device_bytes=700 << 20, stages=SPANS, timeline_repeats=20, overlap=overlap(SPANS), uploaded_bytes={"scene": 123_456},
    downloaded_bytes=0, growth=Growth(steps=1000, device_free_before=9, device_free_after=9, python_bytes=512),
    throughput={"scene": Throughput(steps=1000, in_flight=2, seconds=2.5)},
)  # fmt: skip


def chain(device: float = 2.0, tail: float = 1.0, launch: float = 0.02, **changes: Any) -> Record:
    values = np.full(1000, device)
    values[-20:] *= tail
    statistics = {
        "host": Statistics.of(values + 0.1),
        "device": Statistics.of(values),
        "enqueue": Statistics.of(np.full(1000, launch)),
    }
    who = {"graph": "chain", "backend": "tensorrt", "precision": "fp16", "mode": "chain-graph", "engine": "engines:0"}
    return record(values, who, statistics=statistics, chain=FACTS, samples_us=None, **changes)


def torch(mode: str, host: float) -> Record:
    who = {"graph": "chain", "backend": "torch", "precision": "fp16", "mode": mode, "engine": f"baseline:torch-{mode}"}
    return record(np.full(1000, host), who)


def written(folder: Path, *records: Record) -> list[str]:
    paths = []
    for number, found in enumerate(records):
        paths.append(str(folder / f"{number}.json"))
        write_record(paths[-1], found)
    return paths


def test_targets_that_are_met(tmp_path: Path) -> None:
    text = markdown(written(tmp_path, chain(), torch("eager", 42.0), torch("reduce-overhead", 4.2)))
    assert "| host time of a captured step, p50 | ≤ 50 µs | 20.0 µs | yes |" in text
    assert "| p99 / p50 (device) | ≤ 1.05 | 1.000 | yes |" in text
    assert "| faster than torch eager (host, required) | ≥ 4× | 20.00× | yes |" in text
    assert "| faster than torch eager (host, goal) | ≥ 10× | 20.00× | yes |" in text
    assert "| faster than torch reduce-overhead (host, goal) | ≥ 1.5× | 2.00× | yes |" in text


def test_targets_that_are_missed_or_were_not_measured(tmp_path: Path) -> None:
    text = markdown(written(tmp_path, chain(tail=1.2, launch=0.06), torch("eager", 10.5)))
    assert "| 60.0 µs | no |" in text
    assert "| p99 / p50 (device) | ≤ 1.05 | 1.200 | no |" in text
    assert "| faster than torch eager (host, required) | ≥ 4× | 5.00× | yes |" in text
    assert "| faster than torch eager (host, goal) | ≥ 10× | 5.00× | no |" in text
    assert "| faster than torch reduce-overhead (host, goal) | ≥ 1.5× | – | not measured |" in text


def test_everything_else_is_told(tmp_path: Path) -> None:
    checks = [
        {"name": "equal steps", "held": True, "said": "", "digests": {}},
        {"name": "captured", "held": None, "said": "nothing", "digests": {}},
        {"name": "seeds", "held": False, "said": "frames", "digests": {}},
    ]
    equality = {"kind": "equality", "preset": "small", "backend": "tensorrt", "precision": "fp16", "checks": checks}
    (tmp_path / "equality.json").write_text(json.dumps(equality))
    (tmp_path / "rebuild.json").write_text('{"rebuilds": {}}')
    graph = record()
    text = markdown(
        [*written(tmp_path, chain(), graph), str(tmp_path / "equality.json"), str(tmp_path / "rebuild.json")]
    )
    assert "| `encode_images` | 1 | 0.125 | 0.625 | 0.500 |" in text
    assert "two or more at once 0.125 ms" in text
    assert "At once: render and encode_images." in text
    assert "bytes uploaded a step (scene): 123,456" in text
    assert "kept after 1000 steps: device memory 0 bytes, Python 512 bytes" in text
    assert "2 in flight (scene): 2.500 ms a step" in text
    assert "- held: equal steps\n- not made: captured: nothing\n- **failed**: seeds: frames" in text
    assert "student" not in text, "graphs have a table of their own"


def test_the_kernels_are_listed(tmp_path: Path) -> None:
    values = np.full(1000, 0.25)
    found = record(
        values,
        {"graph": "renderer", "backend": "kernel", "preset": "49x480x720-r1"},
        statistics={"host": Statistics.of(values), "device": Statistics.of(values)},
        notes=("no bundle", "138766 points"),
    )
    assert "| 49x480x720-r1 | 0.250 | 0.250 | 138766 points |" in markdown(written(tmp_path, found))


def test_a_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{")
    assert main([str(path)]) == 2
    assert "broken.json cannot be read" in capsys.readouterr().err
