"""Digests that were begun ahead are those of the files as they are when they are asked for."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from videoscene_rt.engines.store import ahead
from videoscene_rt.engines.store.ahead import DigestsAhead, files_in_use


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, in their order."""
    found: list[Path] = []
    real = ahead.file_sha256

    def noted(path: Path) -> str:
        found.append(path)
        return real(path)

    monkeypatch.setattr(ahead, "file_sha256", noted)
    return found


def test_what_was_begun_is_read_once(tmp_path: Path, read: list[Path]) -> None:
    begun, other = tmp_path / "begun", tmp_path / "other"
    begun.write_bytes(b"plan")
    other.write_bytes(b"record")
    with ThreadPoolExecutor() as pool:
        digests = DigestsAhead(pool, iter([begun]))
    assert read == [begun]
    assert digests(begun) == sha256(b"plan")
    assert read == [begun]
    assert digests(other) == sha256(b"record")
    assert digests(begun) == sha256(b"plan"), "given once: the second answer is of the file as it is now"
    assert read == [begun, other, begun]


@pytest.mark.parametrize("how", ["written over", "put in its place", "grown"])
def test_a_file_that_changed_since_is_read_again(tmp_path: Path, how: str) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"before")
    os.utime(path, ns=(1, 1))
    with ThreadPoolExecutor() as pool:
        digests = DigestsAhead(pool, iter([path]))
    if how == "put in its place":
        new = tmp_path / "new"
        new.write_bytes(b"after.")
        os.utime(new, ns=(1, 1))
        new.rename(path)
    else:
        path.write_bytes(b"after." if how == "written over" else b"before and more")
    assert digests(path) == sha256(path.read_bytes()) != sha256(b"before")


def test_a_file_that_is_gone_is_said_to_be_when_it_is_asked_for(tmp_path: Path) -> None:
    path, never = tmp_path / "plan", tmp_path / "never"
    path.write_bytes(b"plan")
    with ThreadPoolExecutor() as pool:
        digests = DigestsAhead(pool, iter([path, never]))
    path.unlink()
    for file in (path, never):
        with pytest.raises(FileNotFoundError):
            digests(file)


def test_nothing_is_in_use_where_nothing_was_built_or_it_cannot_be_read(tmp_path: Path) -> None:
    assert list(files_in_use(tmp_path, "onnxruntime", "fp16")) == []
    (tmp_path / "engines").mkdir(mode=0o700)
    (tmp_path / "engines" / "selected.json").write_text("{", encoding="utf-8")
    assert list(files_in_use(tmp_path, "onnxruntime", "fp16")) == []
