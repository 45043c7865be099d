"""A bundle appears whole, or nothing appears."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoscene_rt import InputError
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.bundle_writer import BundleWriter
from videoscene_rt.engines.manifest import FileEntry, Manifest


def write(small_bundle: Path, target: Path, force: bool = False) -> None:
    """Write a copy of the small bundle the way the export does."""
    manifest = Bundle.open(small_bundle).manifest

    def make(files: dict[str, FileEntry]) -> Manifest:
        return manifest.model_copy(update={"files": files})

    with BundleWriter(target, force) as writer:
        for name in manifest.files:
            (writer.folder / name).write_bytes((small_bundle / name).read_bytes())
        writer.finish(make)


def test_what_is_written_can_be_opened(small_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "a.bundle"
    write(small_bundle, target)
    assert Bundle.open(target).digest == Bundle.open(small_bundle).digest
    assert [path.name for path in target.parent.iterdir()] == ["a.bundle"]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_manifest_that_cannot_be_read_back_is_not_published(small_bundle: Path, tmp_path: Path, value: float) -> None:
    """JSON has no word for infinity: such a number would be written as null."""
    manifest = Bundle.open(small_bundle).manifest
    renderer = manifest.preset.renderer.model_copy(update={"near": value})
    broken = manifest.model_copy(update={"preset": manifest.preset.model_copy(update={"renderer": renderer})})

    def make(files: dict[str, FileEntry]) -> Manifest:
        return broken.model_copy(update={"files": files})

    with BundleWriter(tmp_path / "a.bundle") as writer:
        for name in manifest.files:
            (writer.folder / name).write_bytes((small_bundle / name).read_bytes())
        with pytest.raises(InputError, match=r"a\.bundle/manifest\.json: preset\.renderer\.near"):
            writer.finish(make)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with BundleWriter(tmp_path / "a.bundle") as writer:
            (writer.folder / "student.onnx").write_bytes(b"half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_replaced_only_by_force(small_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bundle"
    write(small_bundle, target)
    (target / "student.onnx").write_bytes(b"old")
    with pytest.raises(InputError, match="exists already"):
        write(small_bundle, target)
    write(small_bundle, target, force=True)
    Bundle.open(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bundle"]


def test_a_failure_keeps_the_old_bundle(small_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bundle"
    write(small_bundle, target)
    with pytest.raises(RuntimeError, match="in the middle"), BundleWriter(target, force=True):
        raise RuntimeError("in the middle")
    Bundle.open(target)


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_bundle_is_never_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"precious")
    (tmp_path / "file").write_bytes(b"precious")
    for name in ("photos", "file"):
        with pytest.raises(InputError, match="is not a bundle"):
            BundleWriter(tmp_path / name, force)
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"precious"


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        BundleWriter(tmp_path / "file" / "a.bundle")
