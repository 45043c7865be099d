"""What of the attention kernel needs no GPU: shapes, arguments, what nvcc makes of it. attention_cpu_test runs it on CPU threads."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.engines.kernels.cpu_library import KERNELS
from videoscene_rt import BackendError
from videoscene_rt.engines.kernels.attention import (
    AttentionArguments,
    AttentionEngine,
    attention_arguments,
    attention_signature,
)
from videoscene_rt.engines.kernels.attention_plan import AttentionSizes, AttentionTuning, HopperTuning, tuning_for
from videoscene_rt.engines.kernels.source import packaged


def test_the_arguments_are_laid_out_as_the_source_says() -> None:
    assert "sizeof(AttentionArguments) == 16 * 8 + 5 * 4 + 4" in packaged("attention.cu").decode()
    assert ctypes.sizeof(AttentionArguments) == 16 * 8 + 5 * 4 + 4
    fields = re.search(r"struct AttentionArguments \{(.*?)\};", packaged("attention.cu").decode(), re.DOTALL)
    assert fields is not None
    named = re.findall(r"\*?(\w+)[,;]", re.sub(r"//.*", "", fields[1]))
    assert named == [name for name, _ in AttentionArguments._fields_]


def test_strides_are_those_of_a_dense_array() -> None:
    for layout in ("apart", "together"):
        sizes = AttentionSizes(2, 3, 5, 7, layout)
        arguments = attention_arguments(sizes)
        assert attention_signature(sizes).input("key").shape == ((2, 3, 7, 64) if layout == "apart" else (2, 7, 3, 64))
        assert (arguments.query_batch, arguments.value_batch) == (3 * 5 * 64, 3 * 7 * 64)
        heads_apart = (arguments.out_head, arguments.out_token) == (5 * 64, 64)
        assert heads_apart == (layout == "apart")
        assert arguments.scale == pytest.approx(1.4426950408889634 / 8, rel=1e-6)


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 2**30 + 1), (1, 64, 2**30, 1), (1, 1, 1, 1, "apart", 0.0)],
)
def test_sizes_that_it_cannot_take(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(BackendError, match="attention kernel"):
        AttentionSizes(*sizes)


@pytest.mark.parametrize(
    "wrong", [{"rows": 96}, {"keys": 72}, {"warps": 0}, {"stages": 1}, {"emulated": 9}, {"warps": 1}]
)
def test_shapes_that_there_are_not(wrong: dict[str, int]) -> None:
    with pytest.raises(BackendError, match="no attention kernel of the shape"):
        AttentionTuning(**wrong)


@pytest.mark.parametrize("wrong", [{"consumers": 4}, {"keys": 96}, {"stages": 2}, {"stages": 8}, {"emulated": -1}])
def test_shapes_that_there_are_not_on_hopper(wrong: dict[str, int]) -> None:
    with pytest.raises(BackendError, match="no attention kernel of the shape"):
        HopperTuning(**wrong)


def test_each_device_gets_its_own() -> None:
    assert isinstance(tuning_for("9.0"), HopperTuning)
    assert {type(tuning_for(other)) for other in ("8.0", "8.7", "8.9", "10.0", "12.0")} == {AttentionTuning}
    device = SimpleNamespace(name="a newer one", compute_capability="10.0")
    with pytest.raises(BackendError, match="which a newer one does not have"):
        AttentionEngine(device, AttentionSizes(1, 1, 1, 1), HopperTuning())  # type: ignore[arg-type]


def test_a_device_that_is_too_old() -> None:
    device = SimpleNamespace(name="an old one", compute_capability="7.5")
    with pytest.raises(BackendError, match=r"an old one.*7\.5\n.*8\.0 or later"):
        AttentionEngine(device, AttentionSizes(1, 1, 1, 1))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["attention.cu", "attention_hopper.cu"])
def test_the_source_is_one_for_nvrtc(name: str) -> None:
    source = packaged(name).decode()
    assert "#include" not in source
    assert source.count("struct Half {}") == 1
    assert packaged("splat.cu") == (KERNELS / "splat.cu").read_bytes()


@pytest.mark.parametrize("arch", ["sm_80", "sm_87", "sm_90", "sm_100", "sm_90a"])
def test_nothing_spills(arch: str, tmp_path: Path) -> None:
    """The shapes that the C library and the engine take by default, for float16 and bfloat16."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc to compile the kernel with")
    source = tmp_path / "kernels.cu"
    tuning = HopperTuning() if arch == "sm_90a" else AttentionTuning()
    macro = "VSRT_HOPPER_KERNEL" if arch == "sm_90a" else "VSRT_ATTENTION_KERNEL"
    numbers = ", ".join(str(value) for value in tuning.defines.values())
    shapes = [f"{macro}({name}, vsrt::{name}, {numbers})" for name in ("Half", "Bfloat")]
    source.write_text("\n".join([f'#include "{KERNELS / tuning.source}"', *shapes, ""]))
    command = (nvcc, "-cubin", f"-arch={arch}", "-Xptxas=-v", "-std=c++17", str(source), "-o", str(tmp_path / "cubin"))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert re.findall(r"(\d+) bytes spill stores", done.stderr) == ["0", "0"]
    assert "serialized" not in done.stderr, "the products run in the background"


@pytest.mark.parametrize("tuning", [AttentionTuning(), AttentionTuning(rows=192), AttentionTuning(rows=64)])
def test_every_row_begins_below_all_scores(tuning: AttentionTuning, tmp_path: Path) -> None:
    """nvcc 13.0 made zeros of the initial references of all but a warp's first 16 rows: wrong where all scores are far below 0."""
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc to compile the kernel with")
    source, out = tmp_path / "kernels.cu", tmp_path / "kernels.ptx"
    numbers = ", ".join(str(value) for value in tuning.defines.values())
    source.write_text(f'#include "{KERNELS / "attention.cu"}"\nVSRT_ATTENTION_KERNEL(kernel, vsrt::Half, {numbers})\n')
    subprocess.run((nvcc, "-ptx", "-arch=sm_80", "-std=c++17", str(source), "-o", str(out)), check=True)
    first = dict(reversed(re.findall(r"mov\.f32\s+(%f\d+), (\S+);", out.read_text())))
    references = re.findall(r"add\.f32\s+%f\d+, (%f\d+), 0f41000000;", out.read_text())  # beside SLACK, 8
    assert len(set(references)) == 2 * tuning.rows // tuning.warps // 16
    for name in references:
        value = first[name]
        while value.startswith("%"):
            value = first[value]
        assert value == "0fFF61B1E6", "NOTHING, -3e38"


def test_the_c_library_takes_the_same_shapes() -> None:
    for tuning, macro, name in (
        (AttentionTuning(), "VSRT_ATTENTION_KERNEL", "vsrt_attention"),
        (HopperTuning(), "VSRT_HOPPER_KERNEL", "vsrt_hopper_attention"),
    ):
        numbers = ", ".join(str(value) for value in tuning.defines.values())
        library = (KERNELS / "native" / tuning.source).read_text()
        assert f"{macro}({name}_half, vsrt::Half, {numbers})" in library
        assert f"{macro}({name}_bfloat, vsrt::Bfloat, {numbers})" in library
