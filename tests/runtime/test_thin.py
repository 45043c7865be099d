"""The runtime is thin: what a process has loaded after it has stepped, and how long the first import takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.scenes import scene
from videoscene_rt.scenes.scene_folder import save_scene

HEAVY = ("torch", "onnx", "diffusers", "onnxscript", "onnx_ir", "transformers", "skimage", "scipy", "trimesh")


def run(code: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, env=environment
    ).stdout


def test_a_step_loads_no_training_framework(small_bundle: Path, tmp_path: Path) -> None:
    folder = save_scene(scene(), tmp_path / "scene")
    code = """
import json, sys
from videoscene_rt import Pipeline, Scene
with Pipeline.load(sys.argv[1]) as pipeline:
    result = pipeline.step(Scene.load(sys.argv[2]))
    assert result.frames.shape == (9, 32, 48, 3)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""
    loaded = set(json.loads(run(code, str(small_bundle), str(folder))))
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(HEAVY), loaded & set(HEAVY)
    assert loaded.isdisjoint({"typer", "rich"})


def test_the_first_import_is_quick() -> None:
    """Under half a second of the process's own time, so that a busy machine does not fail it."""
    code = "import time; t = time.process_time(); import videoscene_rt; print(time.process_time() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.5


def test_the_first_import_loads_almost_nothing() -> None:
    code = "import sys; import videoscene_rt; print(*sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = set(run(code).split())
    assert loaded.isdisjoint({"numpy", "pydantic", "PIL", "av", "onnxruntime", *HEAVY})
