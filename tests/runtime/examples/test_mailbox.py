"""The mailbox of one, from one thread and from two."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoscene_rt.examples.mailbox import Mailbox


def test_a_message_is_taken_once() -> None:
    box = Mailbox[str]()
    box.put("a")
    assert box.take() == "a"
    assert box.take(wait=False) is None
    assert (box.produced, box.dropped) == (1, 0)


def test_the_newest_takes_the_place_of_what_nobody_took() -> None:
    box = Mailbox[int]()
    for number in range(5):
        box.put(number)
    assert box.take() == 4
    assert (box.produced, box.dropped) == (5, 4)


@given(st.lists(st.booleans()))
def test_every_message_is_taken_or_dropped_or_still_there(moves: list[bool]) -> None:
    """Against a plain list of all that was put, of which the last one counts."""
    box, put, taken = Mailbox[int](), 0, []
    for is_put in moves:
        if is_put:
            put += 1
            box.put(put)
        elif (message := box.take(wait=False)) is not None:
            assert message == put, "only the newest is ever seen"
            taken.append(message)
    left = box.take(wait=False) is not None
    assert box.produced == put == len(taken) + box.dropped + left
    assert taken == sorted(set(taken))


def test_taking_waits_for_a_message_or_for_the_end() -> None:
    box, seen = Mailbox[int](), []

    def read() -> None:
        while (message := box.take()) is not None:
            seen.append(message)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(3):
        box.put(number)
        deadline = time.monotonic() + 10
        while len(seen) <= number and time.monotonic() < deadline:
            time.sleep(0.001)
    box.close()
    reader.join(timeout=10)
    assert not reader.is_alive()
    assert seen == [0, 1, 2]


def test_what_lies_in_it_can_be_taken_after_the_end() -> None:
    box = Mailbox[int]()
    box.put(1)
    box.close()
    assert [box.take(), box.take(), box.take(wait=False)] == [1, None, None]


def test_a_failure_reaches_whoever_waits_and_whoever_comes_later() -> None:
    box, caught = Mailbox[int](), []

    def read() -> None:
        try:
            box.take()
        except ValueError as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    box.close(ValueError("no more light"))
    reader.join(timeout=10)
    assert [str(error) for error in caught] == ["no more light"]
    with pytest.raises(ValueError, match="no more light"):
        box.take(wait=False)
