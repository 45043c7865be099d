"""A bundle is read whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videoscene_rt import InputError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.manifest import SCHEMA_VERSION, parse_manifest


@pytest.fixture
def bundle(small_bundle: Path, tmp_path: Path) -> Path:
    """A bundle of one's own to damage."""
    return Path(shutil.copytree(small_bundle, tmp_path / "mine.bundle"))


def edit(bundle: Path, change: Callable[[dict], object]) -> None:
    path = bundle / "manifest.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_whole_bundle_opens(small_bundle: Path) -> None:
    bundle = Bundle.open(small_bundle)
    assert bundle.manifest.preset.name == "small"
    assert set(bundle.manifest.files) == {path.name for path in small_bundle.iterdir() if path.name != "manifest.json"}
    assert bundle.prompt().shape == (1, 4, 16)


def test_the_digest_is_of_the_contents(small_bundle: Path, published_bundle: Path, bundle: Path) -> None:
    assert Bundle.open(bundle).digest == Bundle.open(small_bundle).digest
    assert Bundle.open(published_bundle).digest != Bundle.open(small_bundle).digest


@pytest.mark.parametrize("name", ["student.onnx", "weights_student.bin", "prompt.npy"])
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        Bundle.open(bundle)


def test_a_truncated_file_is_named_with_both_sizes(bundle: Path) -> None:
    path = bundle / "weights_student.bin"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"weights_student.bin has {size - 1:,} bytes; the manifest says {size:,}"):
        Bundle.open(bundle)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte_anywhere_is_found(bundle: Path, data: st.DataObject) -> None:
    names = sorted(json.loads((bundle / "manifest.json").read_text())["files"])
    path = bundle / data.draw(st.sampled_from(names))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        with pytest.raises(InputError, match=f"{path.name} was altered"):
            Bundle.open(bundle)
    finally:
        path.write_bytes(original)


def test_a_link_out_of_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere.onnx"
    (bundle / "student.onnx").rename(outside)
    (bundle / "student.onnx").symlink_to(outside)
    with pytest.raises(InputError, match="student.onnx is not a plain file"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["../student.onnx", "/etc/passwd", "a/../../b", "", ".", "a\\b", "a//b"])
def test_a_path_out_of_the_bundle_is_refused(bundle: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "bytes": 0}
    edit(bundle, lambda data: data["files"].update({name: entry}))
    with pytest.raises(InputError, match="not a plain path"):
        Bundle.open(bundle)


def test_a_newer_schema_is_named(bundle: Path) -> None:
    edit(bundle, lambda data: data.update(schema_version=SCHEMA_VERSION + 1))
    with pytest.raises(
        InputError, match=f"schema version {SCHEMA_VERSION + 1}; this videoscene-rt reads {SCHEMA_VERSION}"
    ) as caught:
        Bundle.open(bundle)
    assert "newer videoscene-rt" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("preset"), "preset: Field required"),
        (lambda data: data.update(surprise=1), "surprise: Extra inputs"),
        (lambda data: data["preset"].update(frames=10), "frames must be 8k"),
        (lambda data: data["graphs"]["student"].update(name="other"), "calls itself 'other'"),
        (lambda data: data["graphs"]["student"].update(file="gone.onnx"), "is not among the bundle's files"),
        (lambda data: data["graphs"]["student"].update(state={"z_0": "nothing"}), "'nothing'"),
        (lambda data: data.update(prompt_file="gone.npy"), "is not among the bundle's files"),
        (lambda data: data["files"]["prompt.npy"].update(sha256="short"), "sha256"),
        (lambda data: data.update(schema_version=0), "has schema version 0"),
        (lambda data: data.update(schema_version="1"), "schema_version"),
    ],
)
def test_a_wrong_field_is_named(bundle: Path, change: Callable[[dict], object], words: str) -> None:
    edit(bundle, change)
    with pytest.raises(InputError, match=words):
        Bundle.open(bundle)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match="somewhere"):
        parse_manifest(text, "somewhere")


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["schema_version", "preset", "graphs", "policy", "files", "provenance", "prompt_file", "name"]), inner
)))  # fmt: skip
def test_any_json_is_refused_with_words(document: object) -> None:
    with pytest.raises(InputError):
        parse_manifest(json.dumps(document), "somewhere")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        Bundle.open(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        Bundle.open(tmp_path)


def test_an_unknown_graph_is_named_with_the_known_ones(small_bundle: Path) -> None:
    with pytest.raises(InputError, match="no graph 'decode_first'; it has decode_clip"):
        Bundle.open(small_bundle).graph("decode_first")


@pytest.mark.parametrize(
    "prompt",
    [
        np.zeros((1, 4, 17), np.float32),
        np.zeros((1, 4, 16), np.float64),
        np.full((1, 4, 16), np.nan, np.float32),
        np.array([{"a": 1}], dtype=object),
    ],
)
def test_a_wrong_prompt_is_refused(small_bundle: Path, tmp_path: Path, prompt: np.ndarray) -> None:
    """The digest guards the file; this guards a bundle that was made wrong."""
    np.save(tmp_path / "prompt.npy", prompt, allow_pickle=True)
    manifest = Bundle.open(small_bundle).manifest
    with pytest.raises(InputError, match=r"prompt\.npy"):
        Bundle(tmp_path, manifest).prompt()
