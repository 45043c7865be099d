"""Ratios of like with like, and what keeps two records from being compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.bench.records import record
from videoscene_rt.bench.compare import main, markdown, ratio
from videoscene_rt.bench.record import Inputs, write_record
from videoscene_rt.bench.surroundings import GpuFacts
from videoscene_rt.engines.errors import InputError

TORCH = {"engine": "baseline:torch-eager", "backend": "torch", "mode": "eager"}


def test_a_ratio_is_of_the_medians_with_its_range() -> None:
    rng = np.random.default_rng(0)
    slow, fast = rng.uniform(9, 11, 400), rng.uniform(1.8, 2.2, 400)
    found = ratio(record(slow, TORCH), record(fast))
    assert found.value == pytest.approx(
        np.percentile(slow, 50, method="inverted_cdf") / np.percentile(fast, 50, method="inverted_cdf")
    )
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert found.low == pytest.approx(slow.min() / np.percentile(fast, 90, method="inverted_cdf"))
    assert found.doubt == ""


def test_few_samples_have_no_range() -> None:
    found = ratio(record(np.full(10, 6.0), TORCH), record(np.full(10, 3.0)))
    assert (found.value, found.low, found.high) == (2.0, None, None)


@pytest.mark.parametrize(
    ("who", "changes", "words"),
    [
        ({"bundle_sha256": "c" * 64}, {}, "bundle: cccccccccccc and aaaaaaaaaaaa"),
        ({"graph": "policy"}, {}, "graph: policy and student"),
        ({"device": "another"}, {}, "device: another and a processor"),
        ({}, {"inputs": Inputs(specs_sha256="d" * 64, source="seed 0")}, "inputs' shapes"),
        ({}, {"inputs": Inputs(specs_sha256="b" * 64, source="seed 1")}, "inputs: seed 1 and seed 0"),
        (
            {},
            {"gpu": GpuFacts(name="a", driver="1", memory_mib=1, compute_capability="9.0", count=1)},
            "driver: 1 and None",
        ),
    ],
)
def test_unlike_records_are_not_compared(who: dict[str, str], changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ratio(record(None, {**TORCH, **who}, **changes), record())


def test_no_division_by_zero_and_no_missing_series() -> None:
    with pytest.raises(InputError, match="sample of zero"):
        ratio(record(None, TORCH), record(np.zeros(3)))
    with pytest.raises(InputError, match="no series 'device'"):
        ratio(record(None, TORCH), record(), "device")
    with pytest.raises(InputError, match="no records"):
        markdown([], "torch")


def test_outputs_that_differ_are_told() -> None:
    assert "z_0" in ratio(record(None, TORCH, output_rms={"z_0": 2.0}), record()).doubt
    assert "z_0" in ratio(record(None, TORCH, output_rms={"z_0": None}), record()).doubt
    assert ratio(record(None, TORCH, output_rms={"z_0": 1.01}), record()).doubt == ""


def test_the_table_has_a_line_for_each_runner_fastest_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for index, (samples, who) in enumerate(
        [(np.full(70, 6.0), TORCH), (np.full(70, 2.0), {}), (np.full(9, 1.5), {"graph": "policy"})]
    ):
        paths.append(str(tmp_path / f"{index}.json"))
        write_record(paths[-1], record(samples, who))
    assert main([*paths, "--subject", "onnxruntime"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| student | onnxruntime fp32 enqueue | 2 | 2 | subject |  |"
    assert lines[3] == "| student | torch fp32 eager | 6 | 6 | 3.00× (3.00 to 3.00) |  |"
    assert lines[4].startswith("| policy | onnxruntime fp32 enqueue | 1.5 | – | subject |")


def test_a_bad_record_is_a_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.json").write_text("{")
    assert main([str(tmp_path / "r.json")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
