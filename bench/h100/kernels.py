"""The native kernels, built, tested and sanitised: ``python -m videoscene_rt.bench.h100.kernels CHECKOUT BUILD OUT.json``.

Standard library only. CTest's tests with "gpu" in their names are run once more by compute-sanitizer, under memcheck and racecheck.
Without a GPU they are not, and the record says so.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GPU_TESTS = "gpu"
TOOLS = ("memcheck", "racecheck")
LIMIT_S = 240.0
"""For one step; racecheck can be hundreds of times slower than the test."""
_FOUND_SOMETHING = "9"
_TAIL = 30


def main(argv: Sequence[str]) -> int:
    """Run every step; a step that fails ends it.

    Returns:
        0; 3 where something failed.
    """
    source, build, out = argv
    steps: list[dict[str, Any]] = []
    record: dict[str, Any] = {"steps": steps, "sanitizer": "not run"}
    jobs = str(os.cpu_count() or 1)
    here = ["-DCMAKE_CUDA_ARCHITECTURES=native"] if shutil.which("nvidia-smi") else []
    commands = {
        "configure": ["cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", *here],
        "build": ["cmake", "--build", build, "--parallel", jobs],
        "test": ["ctest", "--test-dir", build, "--output-on-failure"],
    }
    passed = all(_step(steps, name, command) for name, command in commands.items())
    if passed:
        passed = _sanitize(record, gpu_tests(build))
    record["passed"] = passed
    Path(out).write_text(json.dumps(record, indent=1))
    return 0 if passed else 3


def gpu_tests(build: str) -> dict[str, list[str]]:
    """The command of every test that runs on a GPU, by name, as CTest lists them."""
    command = ["ctest", "--test-dir", build, "--show-only=json-v1", "-R", GPU_TESTS]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {test["name"]: test["command"] for test in listed["tests"] if "command" in test}


def _sanitize(record: dict[str, Any], tests: dict[str, list[str]]) -> bool:
    if shutil.which("nvidia-smi") is None:
        record["sanitizer"] = "not run: there is no GPU"
        return True
    if shutil.which("compute-sanitizer") is None or not tests:
        record["sanitizer"] = "not run: " + ("compute-sanitizer is missing" if tests else "there is no test for a GPU")
        return False
    runs = [
        _step(
            record["steps"],
            f"{tool} {name}",
            ["compute-sanitizer", "--tool", tool, "--error-exitcode", _FOUND_SOMETHING, *command],
        )
        for tool in TOOLS
        for name, command in tests.items()
    ]
    record["sanitizer"] = "clean" if all(runs) else "not clean"
    return all(runs)


def _step(steps: list[dict[str, Any]], name: str, command: list[str]) -> bool:
    begin = time.monotonic()
    code, output = _run(command)
    sys.stdout.write(f"== {name}: {shlex.join(command)}\n{output}\n")
    steps.append(
        {
            "name": name,
            "command": Path(command[0]).name,
            "code": code,
            "seconds": round(time.monotonic() - begin, 3),
            "tail": output.splitlines()[-_TAIL:],
        }
    )
    return code == 0


def _run(command: list[str]) -> tuple[int | None, str]:
    """Exit code and output; None for one that was stopped at the limit."""
    pipe = subprocess.PIPE
    try:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        return None, (
            said.decode(errors="replace") if isinstance(said, bytes) else said
        ) + f"\nstopped after {LIMIT_S:g} s"
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
