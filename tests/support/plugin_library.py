"""A library that says what the plug-in says of itself, made by the C compiler, and a TensorRT whose registry has what is loaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

WITHOUT_SYMBOL = "extern int no_such_symbol(void); int needs_it(void) { return no_such_symbol(); }"


def library(path: Path, built_for: str = "8.6", code: str = "") -> Path:
    """A shared library.

    Args:
        path: where.
        built_for: the TensorRT that it names; "" for a library of somebody else's.
        code: more of its source.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    mark = f'const char mark[] = "videoscene-rt plug-in for TensorRT {built_for};";' if built_for else "int nothing;"
    source = path.with_suffix(".c")
    source.write_text(f'{mark}\nconst char name[] = "{path.name}";\n{code}\n')
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    return path


def registering(version: str, *names: str) -> SimpleNamespace:
    """A TensorRT in whose registry every loaded file of one of these names has put the op."""

    class Registry:
        @property
        def plugin_creator_list(self) -> list[SimpleNamespace]:
            mapped = {Path(line.split()[-1]).name for line in Path("/proc/self/maps").read_text().splitlines()}
            ours = ["VideoSceneAttention"] if mapped & set(names) else []
            return [SimpleNamespace(name=name) for name in ("SomethingElse", *ours)]

    return SimpleNamespace(__version__=version, get_plugin_registry=Registry)
