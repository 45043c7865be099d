"""What nvcc makes of the kernels, where it is installed; no GPU is needed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.engines.kernels.cpu_library import KERNELS


@pytest.fixture(scope="module")
def nvcc() -> str:
    found = shutil.which("nvcc")
    if found is None:
        pytest.skip("no nvcc to compile the kernels with")
    return found


@pytest.mark.parametrize("source", ["splat.cu", "watch.cu"])
def test_nothing_is_contracted_whatever_the_flags(nvcc: str, source: str, tmp_path: Path) -> None:
    """-fmad=true is nvcc's default: the arithmetic is written in operations that it may not join."""
    out = tmp_path / "kernels.ptx"
    command = (nvcc, "-ptx", "-fmad=true", "-std=c++17", "-DVSRT_RADIUS=1", str(KERNELS / source), "-o", str(out))
    subprocess.run(command, check=True, capture_output=True, text=True)
    ptx = out.read_text()
    assert not re.search(r"\bfma\.|\bmad\.[a-z.]*f32", ptx)
    if source == "splat.cu":
        assert "div.rn.f32" in ptx
        assert "div.approx" not in ptx
        assert ".ftz" not in ptx


def test_nothing_spills(nvcc: str, tmp_path: Path) -> None:
    """Every radius, on an H100's and a Jetson Orin's architecture."""
    for arch in ("sm_90", "sm_87"):
        command = (nvcc, "-cubin", f"-arch={arch}", "-Xptxas=-v", "-std=c++17", str(KERNELS / "splat.cu"))
        done = subprocess.run((*command, "-o", str(tmp_path / arch)), check=True, capture_output=True, text=True)
        spills = re.findall(r"(\d+) bytes spill stores", done.stderr)
        assert len(spills) == 2 + 2 * 9
        assert set(spills) == {"0"}, arch
