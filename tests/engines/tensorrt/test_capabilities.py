"""Which version can what: the table, and that it is true of the package that is installed."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from videoscene_rt import BackendError, InputError
from videoscene_rt.engines.tensorrt.capabilities import (
    FAMILIES,
    TENSORRT_8_6,
    TENSORRT_10,
    TENSORRT_11,
    TENSORRT_RTX_1,
    Capabilities,
    capabilities,
    open_package,
)
from videoscene_rt.engines.tensorrt.request import PlanRequest

DOCS = Path(__file__).parents[3] / "docs" / "tensorrt.md"


@pytest.mark.parametrize(
    ("package", "version", "family"),
    [
        ("tensorrt", "8.6.0", TENSORRT_8_6),
        ("tensorrt", "8.6.1.6", TENSORRT_8_6),
        ("tensorrt", "10.3.0", TENSORRT_10),
        ("tensorrt", "10.16.1.11", TENSORRT_10),
        ("tensorrt", "11.0.0", TENSORRT_11),
        ("tensorrt", "11.4.1", TENSORRT_11),
        ("tensorrt_rtx", "1.7.1.116", TENSORRT_RTX_1),
    ],
)
def test_a_version_belongs_to_a_family(package: str, version: str, family: Capabilities) -> None:
    assert capabilities(package, version) is family  # type: ignore[arg-type]


@pytest.mark.parametrize("version", ["8.5.3", "8.7", "9.3.0", "10.2.0", "12.0", "", "dev"])
def test_other_versions_are_refused_by_name(version: str) -> None:
    with pytest.raises(BackendError, match=r"tensorrt .*is not supported; what is: 8\.6.*10\.3.*11\.0"):
        capabilities("tensorrt", version)


def test_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError("libnvinfer.so.8: cannot open shared object file: No such file or directory\nmore")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(
        BackendError, match=r"tensorrt cannot be imported: libnvinfer\.so\.8.*\n.*videoscene-rt\[tensorrt\]"
    ):
        open_package("tensorrt")


@pytest.mark.parametrize("package", ["tensorrt", "tensorrt_rtx"])
def test_what_is_installed_has_what_its_family_says(package: str) -> None:
    pytest.importorskip(package, reason=f"{package} is not installed")
    module, can = open_package(package)  # type: ignore[arg-type]
    assert hasattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED") == can.strongly_typed
    assert hasattr(module.BuilderFlag, "OBEY_PRECISION_CONSTRAINTS") or can.strongly_typed
    assert hasattr(module, "IProgressMonitor") == can.progress_monitor
    assert hasattr(module.ParserError, "node_name") == can.parser_names_nodes
    assert hasattr(module.IExecutionContext, "set_device_memory") == can.sized_device_memory
    assert hasattr(module, "ExecutionContextAllocationStrategy") == can.sized_device_memory
    assert hasattr(module.ICudaEngine, can.device_memory_size)
    for source in can.tactic_sources or ():
        assert hasattr(module.TacticSource, source)


def test_the_document_shows_the_table_as_it_is() -> None:
    rows = {
        cells[0].strip("` "): [cell.strip("` ") for cell in cells[1:]]
        for line in DOCS.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `") and len(cells := line.strip("|").split(" | ")) == 1 + len(FAMILIES)
    }
    for field in dataclasses.fields(Capabilities):
        if field.name in ("package", "first", "before", "misread"):
            continue
        values = [getattr(family, field.name) for family in FAMILIES]
        assert rows.get(field.name) == [_spelt(value) for value in values], field.name


def test_the_document_names_every_misread_operator() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for rule in TENSORRT_8_6.misread:
        assert re.search(rf"\b{rule.operator}\b", text), rule.operator


def _spelt(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bytes):
        return value.decode()
    return "–" if value is None else str(value)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"package": "onnxruntime"}, "no package 'onnxruntime'"),
        ({"precision": "fp8"}, "not 'fp8'"),
        ({"level": 6}, "0 to 5, not 6"),
        ({"workspace_mib": 0}, "workspace must be 1 to 16777216 MiB, not 0"),
        ({"workspace_mib": 1 << 44}, "workspace must be 1 to 16777216 MiB"),
    ],
)
def test_requests_that_cannot_be(wrong: dict[str, object], words: str, tmp_path: Path) -> None:
    good = {"onnx": tmp_path, "out": tmp_path, "package": "tensorrt", "precision": "fp32"}
    with pytest.raises(InputError, match=words):
        PlanRequest(**{**good, **wrong})  # type: ignore[arg-type]
