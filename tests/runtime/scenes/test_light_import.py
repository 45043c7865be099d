"""Importing the scenes loads NumPy and nothing heavier."""

from __future__ import annotations

import subprocess
import sys


def test_importing_scenes_loads_no_reader() -> None:
    code = (
        "import sys, videoscene_rt.scenes, videoscene_rt.scenes.middlebury\n"
        "print([m for m in ('pydantic', 'PIL', 'trimesh', 'scipy', 'skimage', 'torch', 'onnx') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
