"""The native build without CUDA, as a machine without a GPU does it: it configures, builds, and its test passes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engines.kernels.cpu_library import KERNELS

ROOT = KERNELS.parents[1]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_arithmetic_builds_and_passes_its_test(tmp_path: Path) -> None:
    if shutil.which("cmake") is None or shutil.which("c++") is None:
        pytest.skip("no CMake or no C++ compiler")
    run("cmake", "-S", ROOT, "-B", tmp_path, "-DVSRT_CUDA=OFF")
    run("cmake", "--build", tmp_path)
    assert "100% tests passed" in run("ctest", "--test-dir", tmp_path)


def test_the_header_is_c(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = tmp_path / "user.c"
    source.write_text('#include "videoscene_rt_kernels.h"\nint main(void) { return VSRT_OK; }\n')
    flags = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only")
    run(compiler, *flags, f"-I{KERNELS / 'native'}", source)
