"""The processor as its instructions tell: of Linux's lists on x86-64 and on Arm, and where there is none."""

from __future__ import annotations

import platform
from pathlib import Path

from videoscene_rt.engines.processor import processor

X86 = """processor\t: 0
model name\t: A processor with avx_vnni in its name
flags\t\t: fpu vme sse4_2 fma avx f16c avx2 avx512f avx512bw avx512_vnni
bugs\t\t: amx_int8

processor\t: 1
flags\t\t: fpu vme sse4_2 fma avx f16c avx2 avx512f avx512bw avx512_vnni
"""
ARM = """processor\t: 0
BogoMIPS\t: 62.50
Features\t: fp asimd evtstrm aes fphp asimdhp cpuid asimddp sve
"""


def test_what_tells_is_in_one_order_and_the_rest_is_left_out(tmp_path: Path) -> None:
    for text, words in ((X86, "avx2 avx512bw avx512_vnni"), (ARM, "asimddp asimdhp")):
        path = tmp_path / str(len(text))
        path.write_text(text)
        assert processor(path) == f"{platform.machine()} {words}"


def test_without_a_list_it_is_the_architecture(tmp_path: Path) -> None:
    assert processor(tmp_path / "none") == platform.machine()
