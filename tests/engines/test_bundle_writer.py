"""A bundle appears whole, or nothing appears."""

from __future__ import annotations

import os
import signal
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


def killed(tmp_path: Path, small_bundle: Path, where: str) -> None:
    """Write a bundle in another process, which ends by SIGKILL at a point of its work."""
    pid = os.fork()
    if pid == 0:
        try:
            _write_and_die(tmp_path / "a.bundle", small_bundle, where)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL


def _write_and_die(target: Path, small_bundle: Path, where: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    manifest = Bundle.open(small_bundle).manifest
    with BundleWriter(target, force=True) as writer:
        for number, name in enumerate(manifest.files):
            if where == "files" and number == 3:
                (writer.folder / name).write_bytes(b"half")
                die()
            (writer.folder / name).write_bytes((small_bundle / name).read_bytes())
        if where == "renames":
            rename = Path.rename

            def once(path: Path, to: Path) -> None:
                rename(path, to)
                if path == target:
                    die()

            Path.rename = once  # type: ignore[assignment,method-assign]
        writer.finish(
            lambda files: manifest.model_copy(update={"files": files}),
            die if where == "digests" else lambda done, total: None,
        )


@pytest.mark.parametrize("where", ["files", "digests", "renames"])
@pytest.mark.parametrize("had_one", [False, True])
def test_a_killed_writer_leaves_nothing_that_looks_whole_and_the_next_one_starts_clean(
    small_bundle: Path, tmp_path: Path, where: str, had_one: bool
) -> None:
    target = tmp_path / "a.bundle"
    if had_one:
        write(small_bundle, target)
    if where == "renames" and not had_one:
        return  # there is one rename then
    killed(tmp_path, small_bundle, where)
    left = {path.name for path in tmp_path.iterdir()} - {"a.bundle"}
    assert left, "a killed process cleans nothing up"
    assert all(name.startswith(".a.bundle.") for name in left)
    if had_one and where != "renames":
        Bundle.open(target)  # the old one is untouched
    else:
        with pytest.raises(InputError, match="is not a bundle: there is no such folder"):
            Bundle.open(target)
    if where == "renames":  # the old one waited for the new one's name: it gets it back
        with pytest.raises(InputError, match="exists already"):
            BundleWriter(target)
        Bundle.open(target)
    write(small_bundle, target, force=had_one)
    Bundle.open(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bundle"]


def test_a_writer_that_lives_is_left_alone(small_bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.bundle"
    with BundleWriter(target) as first:
        (first.folder / "half").write_bytes(b"half")
        write(small_bundle, target)
        assert (first.folder / "half").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a.bundle"]
