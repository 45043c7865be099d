"""An identity is everything that made an engine, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.store.identity import EngineIdentity, graph_sha256, specs_sha256

A, B = "a" * 64, "b" * 64
OTHER: dict[str, Any] = {
    "schema_version": 2,
    "graph": "policy",
    "graph_sha256": B,
    "specs_sha256": B,
    "precision": "int8",
    "recipe_sha256": B,
    "calibration_sha256": B,
    "backend": "tensorrt-rtx",
    "backend_version": "10.3.0",
    "device": "NVIDIA RTX A2000",
    "compute_capability": "8.6",
    "workspace_mib": 64,
    "level": 5,
    "plugin_sha256": B,
}


def identity(**changes: Any) -> EngineIdentity:
    fields: dict[str, Any] = {
        "graph": "student",
        "graph_sha256": A,
        "specs_sha256": A,
        "precision": "fp16",
        "recipe_sha256": A,
        "calibration_sha256": None,
        "backend": "tensorrt",
        "backend_version": "8.6.1",
        "device": "NVIDIA H100 80GB HBM3",
        "compute_capability": "9.0",
    }
    return EngineIdentity(**{**fields, **changes})


def test_all_fields_are_known_here() -> None:
    assert set(OTHER) == set(EngineIdentity.model_fields) - {"attempt"}


@pytest.mark.parametrize("field", OTHER)
def test_every_field_makes_another_engine_and_is_named_with_both_sides(field: str) -> None:
    one, other = identity(), identity(**{field: OTHER[field]})
    assert one.digest != other.digest
    assert one.folder != other.folder
    (difference,) = one.differences(other)
    assert difference.field == field
    sides = (getattr(one, field), OTHER[field])
    for side, told in zip(sides, (difference.built, difference.here), strict=True):
        assert told in str(difference)
        assert told == "none" if side is None else str(side).startswith(told.rstrip("…"))


def test_how_the_builder_came_through_is_kept_but_not_compared() -> None:
    one, other = identity(), identity(attempt={"tactic_sources": [], "level": 0})
    assert (one.digest, one.differences(other)) == (other.digest, ())
    assert EngineIdentity.model_validate_json(other.model_dump_json()) == other


def test_a_digest_is_the_same_tomorrow() -> None:
    """Engines that are out there must be found again: this changes only with the schema. The plug-in came later: none leaves no trace."""
    assert identity().digest == identity().digest
    fields = {**OTHER, **identity().model_dump(exclude={"attempt"})}
    del fields["plugin_sha256"]
    text = json.dumps(fields, sort_keys=True)
    assert identity().digest == text_sha256([text])
    assert re.fullmatch(r"student-[0-9a-f]{16}", identity().folder)


@pytest.mark.parametrize("name", ["small_bundle", "published_bundle"])
def test_a_graphs_digest_is_over_its_file_and_exactly_the_weights_onnx_finds_in_it(
    request: pytest.FixtureRequest, name: str
) -> None:
    bundle = Bundle.open(request.getfixturevalue(name))
    for graph in bundle.manifest.graphs:
        path = bundle.graph_path(graph)
        model = onnx.load(path, load_external_data=False)
        tensors = [
            *model.graph.initializer,
            *(a.t for node in model.graph.node for a in node.attribute if a.HasField("t")),
        ]
        named = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
        expected = [file_sha256(path), *(f"{file_sha256(bundle.folder / file)} {file}" for file in sorted(named))]
        assert graph_sha256(bundle, graph) == text_sha256(expected), graph


def retrained(folder: Path, to: Path, file: str) -> Path:
    """The same bundle with other values in one file of weights."""
    shutil.copytree(folder, to)
    data = bytearray((to / file).read_bytes())
    data[7] ^= 1
    (to / file).write_bytes(data)
    manifest = json.loads((to / "manifest.json").read_text())
    manifest["files"][file]["sha256"] = file_sha256(to / file)
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_retrained_weights_of_the_same_shape_are_another_graph(small_bundle: Path, tmp_path: Path) -> None:
    one = Bundle.open(small_bundle)
    other = Bundle.open(retrained(small_bundle, tmp_path / "other.bundle", "weights_student.bin"))
    changed = {graph for graph in one.manifest.graphs if graph_sha256(one, graph) != graph_sha256(other, graph)}
    assert changed == {"student"}


def test_the_digest_of_the_specification_is_over_what_an_engine_depends_on(small_bundle: Path) -> None:
    spec = Bundle.open(small_bundle).graph("decode_stream")
    first, *rest = spec.inputs
    for change in ({"shape": (*first.shape, 1)}, {"dtype": "float16"}, {"name": "other"}):
        other = spec.model_copy(update={"inputs": (first.model_copy(update=change), *rest)})
        assert specs_sha256(other) != specs_sha256(spec), change
    assert specs_sha256(spec.model_copy(update={"state": {}})) != specs_sha256(spec)
    moved = spec.model_copy(update={"inputs": spec.inputs[:-1], "outputs": (spec.inputs[-1], *spec.outputs)})
    assert specs_sha256(moved) != specs_sha256(spec)
    told = spec.model_copy(update={"inputs": (first.model_copy(update={"meaning": "else", "unit": "m"}), *rest)})
    assert specs_sha256(told) == specs_sha256(spec)
