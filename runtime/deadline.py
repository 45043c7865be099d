"""Steps with a deadline: the rung chosen before the launch, what became of it, and the refinements that came too late."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.split import SplitStep
from videoscene_rt.counters import Tally
from videoscene_rt.engines.arguments import is_number
from videoscene_rt.engines.errors import InputError
from videoscene_rt.handle import Handle
from videoscene_rt.ladder import COARSE, Ladder
from videoscene_rt.ladder_climb import LadderClimb
from videoscene_rt.result import Result, Status
from videoscene_rt.split_run import Deadline, DeviceSplitRun, HostSplitRun, SplitRun, failed
from videoscene_rt.turns import too_late
from videoscene_rt.worker import Worker

_LONGEST_S = 86_400.0
LADDER_SLOTS = 2


def checked_deadline(seconds: Any, begun: float) -> Deadline:
    """A deadline so many seconds after the call.

    Raises:
        InputError: it is no number from 0 to a day.
    """
    if not (is_number(seconds) and 0 <= seconds <= _LONGEST_S):
        raise InputError(f"deadline must be seconds from the call, from 0 to {_LONGEST_S:,.0f}, not {seconds!r}")
    return Deadline(begun, begun + float(seconds))


@dataclass(frozen=True)
class Outcome:
    """What a result is, for its `Step`: the status, the rung that its frames are of, and why."""

    status: Status
    rung: str
    reason: str = ""


class DeadlineHandle(Handle):
    """A step with a deadline: its result is there at the deadline, refined or not."""

    def __init__(
        self,
        run: SplitRun,
        meet: Callable[[], None],
        collect: Callable[[Handle], Result],
        release: Callable[[int | None], None],
    ) -> None:
        super().__init__(run, collect, release)
        self._meet = meet

    def result(self, timeout: float | None = None) -> Result:
        """The step's result, at its deadline at the latest.

        Raises:
            BackendError: the step failed, or not even the coarse frames were there in time.
        """
        with self._once:
            if self._result is None:
                self._meet()
                self._result = self._collect(self)
            return self._result


class Deadlines:
    """A chain's steps with deadlines. `launch`, `bind_again` and `close` are called under the stepper's lock, the others from anywhere.

    Args:
        chain: it has two slots: where one is busy with a late step, the other one still renders.
        ladder: the data.
        tally: counts.

    Raises:
        BackendError: there is not enough memory.

    Attributes:
        tally: see above.
        grace_s: how long after a deadline the coarse frames are waited for.
        split: the step in two.
        climb: where on the ladder it stands.
        worker: runs, where a launch may take as long as the work, whatever uses the chain's inner buffers, one after the other.
    """

    def __init__(self, chain: Chain, ladder: Ladder, tally: Tally) -> None:
        self.split = SplitStep(chain)
        self.climb = LadderClimb(ladder, (*self.split.rungs, COARSE))
        self._chain = chain
        self.grace_s = ladder.grace_ms / 1e3
        self.tally = tally
        self._parked: list[tuple[int, SplitRun]] = []
        self._closed = False
        self._lock = threading.RLock()  # of its own: at a deadline nobody waits for who waits under the stepper's
        self._render = Worker("videoscene_rt coarse")
        self.worker = Worker("videoscene_rt")

    @property
    def parked(self) -> bool:
        """Whether a slot is held by a step that nobody waits for any more."""
        return bool(self._parked)

    def launch(self, slot: int, deadline: Deadline, busy: bool) -> SplitRun:
        """Choose a rung and put the step onto the device, or onto two threads."""
        if busy:
            self.tally.count("busy")
        with self._lock:
            rung = self.climb.choose(deadline.left_s * 1e3, busy)
        self.tally.count(f"rung {rung}")
        if self._chain.device.captures:
            return DeviceSplitRun(self._chain, self.split, slot, rung, self.worker)
        return HostSplitRun(self.split, slot, rung, self._render, self.worker)

    def meet(self, run: SplitRun, deadline: Deadline) -> None:
        """Wait for a step until its deadline, and beyond it for nothing but the coarse frames; `SplitRun.late` says what came of it.

        Raises:
            BackendError: it failed, or there are no coarse frames even after the grace.
        """
        ended = run.wait(deadline.left_s)
        run.late = not ended or deadline.passed
        if not ended and not run.rendered(self.grace_s):
            raise too_late(
                deadline, "give a longer deadline; if it happens again the device hangs: end the process and begin anew"
            )

    def outcome(self, run: SplitRun, nonfinite: Mapping[str, int]) -> Outcome:
        """What a step's result is; and the ladder is told how long it took.

        Args:
            run: of the step, whose deadline was met or has passed.
            nonfinite: by tensor, how many values are not: of inputs and, where the step has been refined, of z_0.
        """
        with self._lock:
            self.climb.observe(run.rung, run.elapsed_ms)
            run.observed = True
        best = self.climb.rungs[0]
        if nonfinite:
            return Outcome("invalid", COARSE, nonfinite_words(nonfinite))
        if run.late:
            return Outcome("late", COARSE, f"rung {run.rung} had not ended at the deadline")
        if run.rung == COARSE:
            return Outcome(
                "degraded", COARSE, "rendered only: nothing better fitted the deadline, or an earlier step still ran"
            )
        if run.rung != best:
            return Outcome("degraded", run.rung, f"rung {best} did not fit the deadline")
        return Outcome("ok", run.rung)

    def park(self, slot: int, run: SplitRun) -> None:
        """A step's result is no longer needed: its slot is free when the step has ended, see `reap`."""
        with self._lock:
            if self._closed:
                self._count_dropped(run)
            else:
                self._parked.append((slot, run))

    def reap(self) -> list[int]:
        """The slots of parked steps that have ended since; what late ones computed is dropped."""
        with self._lock:
            ended = [each for each in self._parked if _over(each[1])]
            self._parked = [each for each in self._parked if each not in ended]
            for _, run in ended:
                self._count_dropped(run)
                if run.late and not failed(run):
                    (self.climb.correct if run.observed else self.climb.observe)(run.rung, run.took_ms)
        return [slot for slot, _ in ended]

    def settle(self) -> None:
        """Wait for the parked steps."""
        with self._lock:
            parked = list(self._parked)
        for _, run in parked:
            failed(run)  # waits

    def succeed(self, old: Deadlines, tally: Tally) -> None:
        """Take the place of another chain's: what is counted goes on, what was measured does not."""
        self.tally = tally
        self.climb.downs, self.climb.ups = old.climb.downs, old.climb.ups

    def bind_again(self) -> None:
        """The chain's buffers have been bound to other memory: so are those of the step in two."""
        self.split = SplitStep(self._chain)

    def close(self) -> None:
        """Let the threads end. What is late now, or is parked later, is dropped when it ends: it is counted as that here."""
        with self._lock:
            self._closed, parked, self._parked = True, self._parked, []
            for _, run in parked:
                self._count_dropped(run)
        self._render.shutdown()
        self.worker.shutdown()

    def _count_dropped(self, run: SplitRun) -> None:
        if run.late and run.rung != COARSE:
            self.tally.count("dropped")


def nonfinite_words(counts: Mapping[str, int]) -> str:
    """Why a step is invalid."""
    found = ", ".join(
        f"{name}: {count:,} value{'s are' if count > 1 else ' is'} not finite" for name, count in counts.items()
    )
    return f"{found}; the frames are the coarse ones"


def _over(run: SplitRun) -> bool:
    """Whether it has ended, or the device says that it cannot any more."""
    try:
        return run.done
    except Exception:  # a fault of the device: the next step is told
        return True
