"""Training on the GPU with ``--deterministic``: the same seed and steps give the same bits."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.gpu

torch = pytest.importorskip("torch", reason="torch is not installed (TensorRT and torch do not share a process)")


def test_two_runs_give_the_same_weights(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA device")
    from safetensors.torch import load_file

    from tests.export.distill.presets import QUICK, TEENY

    (tmp_path / "preset.json").write_text(TEENY.model_dump_json())
    recipe = replace(QUICK, steps=(4, 40, 4, 40, 30, 2))
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    weights = []
    for name in ("one", "two"):
        command = ["--out", name, "--preset", "preset.json", "--recipe", "recipe.json", "--device", "cuda"]
        module = [sys.executable, "-m", "videoscene_rt.export.distill.train", *command, "--deterministic"]
        subprocess.run(module, cwd=tmp_path, check=True, capture_output=True, timeout=300)
        files = sorted((tmp_path / name / "checkpoint").rglob("*.safetensors"))
        weights.append({f"{file.stem} {key}": value for file in files for key, value in load_file(file).items()})
    assert weights[0].keys() == weights[1].keys()
    different = [key for key, value in weights[0].items() if not torch.equal(value, weights[1][key])]
    assert not different
