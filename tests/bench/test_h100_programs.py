"""The session's own programs: pytest's report as a record, and the kernels' build with stand-ins for CMake and the sanitizer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.bench.h100 import gputests, kernels

TESTS = """
import os
import pytest

pytestmark = pytest.mark.gpu

def test_good():
    assert os.environ["VSRT_BUNDLE"] == "a.bundle"

def test_bad():
    assert 1 == 2, "one is not two"

@pytest.mark.skip(reason="no such thing here")
def test_skipped():
    pass
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "tests" / "gpu").mkdir(parents=True)
    (folder / "tests" / "gpu" / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs a GPU\n")
    return folder


def test_the_gpu_tests_are_recorded(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert gputests.main([str(checkout), "a.bundle", str(out)]) == 1
    record = json.loads(out.read_text())
    assert record["counts"] == {"passed": 1, "failed": 1, "error": 0, "skipped": 1}
    by_name = {test["test"].rpartition("::")[2]: test for test in record["tests"]}
    assert by_name["test_good"]["outcome"] == "passed"
    assert "one is not two" in by_name["test_bad"]["said"]
    assert by_name["test_skipped"]["said"] == "no such thing here"


def test_arguments_choose_the_tests(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert gputests.main([str(checkout), "a.bundle", str(out), "tests/gpu", "-k", "good"]) == 0
    assert json.loads(out.read_text())["counts"]["passed"] == 1
    assert gputests.main([str(checkout), "a.bundle", str(out), "tests/gpu", "-k", "nonesuch"]) == 3, "no test ran"


LISTED = {
    "tests": [{"name": "splat_gpu", "command": ["/build/splat_gpu", "all"]}, {"name": "without a command"}],
}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins that write down how they were called; CTest lists one GPU test."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("cmake", "ctest", "compute-sanitizer", "nvidia-smi"):
        answer = f"case \"$*\" in *json-v1*) echo '{json.dumps(LISTED)}';; esac\n" if name == "ctest" else ""
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/asked\n{answer}')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def build(tmp_path: Path) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "kernels.json"
    code = kernels.main([str(tmp_path / "checkout"), str(tmp_path / "build"), str(out)])
    return code, json.loads(out.read_text())


def test_the_kernels_are_built_tested_and_sanitised(tools: Path, tmp_path: Path) -> None:
    code, record = build(tmp_path)
    assert (code, record["passed"], record["sanitizer"]) == (0, True, "clean")
    asked = (tools / "asked").read_text().splitlines()
    assert asked[0].endswith("-DCMAKE_CUDA_ARCHITECTURES=native"), "quicker than for every GPU"
    assert [line.split()[0] for line in asked] == ["cmake", "cmake", "ctest", "ctest", *["compute-sanitizer"] * 2]
    for tool, line in zip(("memcheck", "racecheck"), asked[-2:], strict=True):
        assert line == f"compute-sanitizer --tool {tool} --error-exitcode 9 /build/splat_gpu all"


def test_what_the_sanitizer_finds_fails(tools: Path, tmp_path: Path) -> None:
    (tools / "compute-sanitizer").write_text('#!/bin/sh\ncase "$*" in *racecheck*) echo "a hazard"; exit 9;; esac\n')
    code, record = build(tmp_path)
    assert (code, record["passed"], record["sanitizer"]) == (3, False, "not clean")
    assert [step["code"] for step in record["steps"]] == [0, 0, 0, 0, 9]
    assert record["steps"][-1]["tail"] == ["a hazard"]


def test_a_sanitizer_that_takes_too_long_fails(tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tools / "compute-sanitizer").write_text("#!/bin/sh\necho begun; exec sleep 60\n")
    monkeypatch.setattr(kernels, "LIMIT_S", 1.0)
    code, record = build(tmp_path)
    assert (code, record["sanitizer"]) == (3, "not clean")
    assert record["steps"][-1]["code"] is None
    assert record["steps"][-1]["tail"] == ["begun", "", "stopped after 1 s"]


def test_a_build_that_fails_ends_it(tools: Path, tmp_path: Path) -> None:
    (tools / "cmake").write_text("#!/bin/sh\necho no compiler; exit 1\n")
    code, record = build(tmp_path)
    assert (code, record["sanitizer"], len(record["steps"])) == (3, "not run", 1)


def test_without_a_gpu_the_sanitizer_is_not_run(tools: Path, tmp_path: Path) -> None:
    (tools / "nvidia-smi").unlink()
    if any((Path(folder) / "nvidia-smi").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("this machine has a GPU")
    code, record = build(tmp_path)
    assert (code, record["sanitizer"]) == (0, "not run: there is no GPU")


def test_a_gpu_and_nothing_to_sanitise_is_no_proof(tools: Path, tmp_path: Path) -> None:
    (tools / "ctest").write_text('#!/bin/sh\ncase "$*" in *json-v1*) echo \'{"tests": []}\';; esac\n')
    code, record = build(tmp_path)
    assert (code, record["sanitizer"]) == (3, "not run: there is no test for a GPU")
