"""Who owns a stream that is known by its number: PyTorch and CuPy, by stand-ins that say what theirs do."""

from __future__ import annotations

import sys
from types import SimpleNamespace as Name

import pytest

from videoscene_rt.engines.cuda.stream_owner import stream_owner


class Stream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


class ExternalStream:
    def __init__(self, ptr: int) -> None:
        self.ptr = ptr


@pytest.fixture(autouse=True)
def nothing_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch", "cupy"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def cupy(current: object) -> Name:
    return Name(cuda=Name(Stream=Stream, get_current_stream=lambda: current))


def torch(handle: int, identity: int) -> Name:
    return Name(cuda=Name(current_stream=lambda: Name(cuda_stream=handle, stream_id=identity)))


def test_the_default_stream_lives_for_ever_and_the_threads_own_is_anothers_elsewhere() -> None:
    assert stream_owner(1) is not None
    assert stream_owner(2) is None


def test_a_bare_number_has_no_owner() -> None:
    assert stream_owner(4096) is None
    assert "torch" not in sys.modules
    assert "cupy" not in sys.modules


def test_cupys_stream_is_its_object_while_it_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Stream(4096)
    monkeypatch.setitem(sys.modules, "cupy", cupy(mine))
    assert stream_owner(4096) is mine
    assert stream_owner(8192) is None
    monkeypatch.setitem(sys.modules, "cupy", cupy(ExternalStream(4096)))
    assert stream_owner(4096) is None, "it owns nothing"


def test_pytorchs_streams_are_of_its_pool_unless_it_was_lent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch(4096, 3))
    assert stream_owner(4096) is not None
    assert stream_owner(8192) is None
    monkeypatch.setitem(sys.modules, "torch", torch(4096, 4096))
    assert stream_owner(4096) is None


def test_a_library_that_fails_to_say_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", Name())
    monkeypatch.setitem(sys.modules, "cupy", None)  # type: ignore[arg-type]
    assert stream_owner(4096) is None
