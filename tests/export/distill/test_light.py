"""Training and evaluating need torch, NumPy, pydantic, safetensors and Pillow: a training machine rarely has more."""

from __future__ import annotations

import subprocess
import sys

BLOCKED = ("diffusers", "onnx", "onnx_ir", "onnxruntime", "onnxscript", "av", "typer", "rich", "scipy", "filelock")


def test_it_runs_without_the_exports_and_the_runtimes_packages() -> None:
    code = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
from videoscene_rt.export.distill.train import main
from videoscene_rt.export.distill.evaluate import main as evaluate
try:
    main(["--help"])
except SystemExit as done:
    assert done.code == 0
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--pause-after" in done.stdout
