"""The rooms import only what docs/architecture.md lets them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STANDARD = set(sys.stdlib_module_names)

ALLOWED = {
    "runtime": {"numpy", "pydantic", "PIL", "av", "typer", "rich", "skimage", "onnxruntime", "nvtx"},
    "engines": {"numpy", "pydantic", "filelock", "onnxruntime", "cuda", "onnx", "onnx_ir", "polygraphy"},
    "export": {"numpy", "pydantic", "torch", "diffusers", "onnx", "onnx_ir", "safetensors", "ml_dtypes"},
    "bench": {"numpy", "pydantic", "PIL", "torch", "diffusers", "onnx", "onnx_ir", "onnxruntime", "cuda"},
}
ROOMS = {
    "runtime": {"runtime", "engines"},
    "engines": {"engines"},
    "export": {"export", "engines"},
    "bench": {"bench", "runtime", "engines", "export"},
}
# The command line calls the export and the benchmark, when it is asked to; skimage and onnxruntime are for the demo's scene and for doctor.
# Training reads scenes, paths and photographs as the runtime does, so that it sees what a step will see.
ALSO = {"runtime/cli": {"export", "bench"}, "export/distill": {"runtime"}, "export/distill/world": {"runtime"}}
ONLY_IN = {
    "typer": {"runtime/cli"},
    "rich": {"runtime/cli"},
    "skimage": {"runtime/scenes"},
    "nvtx": {"runtime"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ("engines", "export", "bench") else "runtime"


@pytest.mark.parametrize("room", ["runtime", "engines", "export", "bench"])
def test_a_room_imports_what_it_may(room: str) -> None:
    paths = sorted((ROOT / room).rglob("*.py"))
    assert paths
    for path in paths:
        place = path.relative_to(ROOT).parent.as_posix()
        for module in imports(path):
            top = module.split(".")[0]
            if top == "videoscene_rt":
                assert room_of(module) in ROOMS[room] | ALSO.get(place, set()), f"{path} imports {module}"
            else:
                assert top in STANDARD | ALLOWED[room], f"{path} imports {module}"
                assert place in ONLY_IN.get(top, {place}), f"{path} imports {module}"
