"""Parts of a measurement: each by itself, whatever becomes of the others."""

from __future__ import annotations

import pytest

from videoscene_rt.bench.step.parts import Parts, words
from videoscene_rt.engines.errors import BackendError


def test_a_failure_is_written_down_and_the_next_part_runs() -> None:
    told: list[str] = []
    kept: list[tuple[str, ...]] = []
    parts = Parts(told.append, lambda: kept.append((parts.under_way, *parts.failures)))
    done: list[int] = []

    def broken() -> None:
        done.append(1)
        raise BackendError("the device\nhas gone", "restart")

    parts.run("one", broken)
    parts.run("two", lambda: done.append(2), wanted=False)
    parts.run("three", lambda: done.append(3))
    assert done == [1, 3]
    assert told == ["one", "no two", "three"]
    assert kept == [("one", "one"), ("three", "one")], "what there is is kept after every part, the failed one too"
    assert parts.failures == {"one": "the device has gone"}
    assert "Traceback" in parts.traces["one"]
    assert "restart" in parts.traces["one"]
    parts.over()
    assert parts.under_way == ""


def test_an_interruption_ends_it() -> None:
    def ended() -> None:
        raise KeyboardInterrupt

    parts = Parts(lambda what: None, lambda: pytest.fail("nothing is to be kept here"))
    with pytest.raises(KeyboardInterrupt):
        parts.run("one", ended)
    assert parts.under_way == "one"
    assert parts.failures == {}


def test_errors_in_a_line() -> None:
    assert words(ValueError("\n first \n second")) == "ValueError: first"
    assert words(MemoryError()) == "MemoryError"
    assert words(BackendError("a\n  b", "c")) == "a b"
