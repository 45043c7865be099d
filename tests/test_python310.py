"""The runtime keeps to Python 3.10, which JetPack has: its grammar, and no name that came later."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LATER = {
    "typing": {"Self", "Never", "assert_never", "override", "Unpack", "LiteralString", "NotRequired", "Required", "reveal_type"},
    "enum": {"StrEnum", "verify", "ReprEnum"},
    "datetime": {"UTC"},
    "contextlib": {"chdir"},
    "itertools": {"batched"},
}  # fmt: skip


@pytest.mark.parametrize("room", ["runtime", "engines"])
def test_every_file_is_python_3_10(room: str) -> None:
    for path in sorted((ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text(), str(path), feature_version=(3, 10))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                late = {alias.name for alias in node.names} & LATER.get(node.module or "", set())
                assert not late, f"{path}: {late} came after Python 3.10"
            if isinstance(node, ast.Import):
                assert all(alias.name != "tomllib" for alias in node.names), path
            assert not isinstance(node, ast.TryStar), path
