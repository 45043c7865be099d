"""What lies where the store's own files belong is named, with what to do, by whoever builds and whoever loads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.building.test_build import refusal
from tests.support.built import build, recording
from videoscene_rt import BackendError


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    (path / "inside").mkdir(parents=True)


def _file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("a file")


@pytest.mark.parametrize(
    ("name", "put", "reason"),
    [
        ("engines", _link, "is not a folder inside the bundle"),
        ("engines", _file, "File exists"),
        ("engines/.lock", _folder, "Is a directory"),
        ("engines/.holder.json", _folder, "Is a directory"),
        ("engines/selected.json", _folder, "Is a directory"),
    ],
)
def test_a_build_names_it_and_the_remedy_helps(
    built: Path, name: str, put: Callable[[Path], None], reason: str
) -> None:
    path = built / name
    put(path)
    with pytest.raises(BackendError, match=reason) as caught:
        build(built)
    assert str(path) in caught.value.problem
    assert caught.value.remedy == "remove it, and build again"

    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    build(built, gate=False, recorder=recording(built)).check()


def test_a_loader_is_told_the_same_of_a_store_that_is_a_link(built: Path) -> None:
    _link(built / "engines")
    error = refusal(built)
    assert "engines is not a folder inside the bundle" in error.problem
    assert error.remedy == "remove it, and build again"
    (built / "engines").unlink()
