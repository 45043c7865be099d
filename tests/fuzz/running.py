"""Fuzzing for a time: one target after the other, under limits, every find shrunk and kept."""

from __future__ import annotations

import hashlib
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings

from tests.fuzz.targets import Target

CASE_S = 5.0
MEMORY_MIB = 1024
_ROUND = 500


@dataclass
class Tally:
    """What came of one target.

    Attributes:
        cases, accepted: how many there were; distinct: by content.
        slowest_s: of one case.
        finds: what was wrong, one for each place in the code, with the smallest case as a file name.
    """

    cases: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    finds: list[dict[str, str]] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)
    known: set[tuple[str, ...]] = field(default_factory=set)


@contextmanager
def limits() -> Iterator[None]:
    """CASE_S on the clock and MEMORY_MIB of address space beyond what is mapped now."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (MEMORY_MIB << 20), before[1]))
    signal.setitimer(signal.ITIMER_REAL, CASE_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


def _too_long(_number: int, _frame: Any) -> None:
    raise TimeoutError(f"a case that has not ended within {CASE_S:g} s")


def _once(target: Target, data: bytes, tally: Tally) -> None:
    tally.cases += 1
    tally.seen.add(hashlib.blake2b(data, digest_size=8).digest())
    began = time.perf_counter()
    try:
        with limits():
            tally.accepted += target.read(data)
    finally:
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - began)


def _place(error: BaseException) -> tuple[str, ...]:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        f"{Path(frame.filename).name}:{frame.name}:{frame.lineno}"
        for frame in frames
        if "videoscene" in frame.filename or "tests" in frame.filename
    ]
    return (type(error).__name__, *ours[-1:])


def fuzz(target: Target, number: int, tally: Tally, keep: Callable[[bytes, BaseException], str]) -> None:
    """One round of a target: some hundred cases from a seed of their own.

    Args:
        target: what is fuzzed.
        number: the round's seed.
        tally: added to.
        keep: stores a find; gives its name.
    """
    smallest: dict[tuple[str, ...], tuple[bytes, BaseException]] = {}

    def body(data: bytes) -> None:
        try:
            _once(target, data, tally)
        except Exception as error:
            place = _place(error)
            if place in tally.known:
                return
            smallest[place] = (data, error)  # Hypothesis comes back with smaller ones
            raise

    run = settings(
        max_examples=_ROUND, deadline=None, database=None, verbosity=Verbosity.quiet, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink), report_multiple_bugs=True, print_blob=False,
    )(seed(number)(given(target.cases(target.seeds))(body)))  # fmt: skip
    before = signal.signal(signal.SIGALRM, _too_long)
    try:
        run()
    except BaseException as error:
        if not smallest:
            raise
        if isinstance(error, KeyboardInterrupt):
            raise
    finally:
        signal.signal(signal.SIGALRM, before)
    for place, (data, error) in smallest.items():
        tally.known.add(place)
        tally.finds.append(
            {"error": f"{type(error).__name__}: {error}"[:300], "at": " ".join(place[1:]), "case": keep(data, error)}
        )
