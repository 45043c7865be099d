"""What a pipeline's calls go to: one bundle's chain and stepper, until a reload puts another's in their place or it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from videoscene_rt.asked import Asked
from videoscene_rt.chain.chain import Chain
from videoscene_rt.counters import Tally
from videoscene_rt.engines.errors import InputError
from videoscene_rt.handle import Handle
from videoscene_rt.reload import take_over
from videoscene_rt.split_run import Deadline
from videoscene_rt.stepper import Stepper, SupersededError
from videoscene_rt.turns import T, in_turn
from videoscene_rt.watchdog import Watchdog


class InUse:
    """A chain, and the stepper that puts steps onto it. Who takes both locks takes ``one_step`` first, and then the stepper's.

    Attributes:
        stepper: of the bundle in use.
        one_step: held by `Pipeline.step` until its result is there: nothing is bound or swapped in meanwhile.
    """

    def __init__(self, chain: Chain, stepper: Stepper) -> None:
        self.stepper = stepper
        self.one_step = threading.RLock()
        self._chain: Chain | None = chain

    @property
    def chain(self) -> Chain:
        """What runs the steps.

        Raises:
            InputError: the pipeline is closed.
        """
        if self._chain is None:
            raise InputError("the pipeline is closed", "load it again: Pipeline.load(bundle)")
        return self._chain

    def in_turn(self, deadline: Deadline | None, work: Callable[[], T]) -> T:
        """Do something under ``one_step``, for a step; what it gives.

        Raises:
            InputError: the step has a deadline, and there is no ladder.
            BackendError: others held it until some time after the deadline.
        """
        _ = self.chain
        return in_turn(self.one_step, deadline, 0.0 if deadline is None else self.stepper.grace_s, work)

    def begin(self, asked: Asked) -> tuple[Handle, Stepper]:
        """Begin a step; with which stepper it was begun. See `Stepper.begin`."""
        while True:
            _ = self.chain  # raises where it is closed
            stepper = self.stepper
            try:
                return stepper.begin(asked), stepper
            except SupersededError:  # another bundle was swapped in meanwhile: the step is begun there
                continue

    @contextmanager
    def held(self) -> Iterator[Stepper]:
        """The stepper in use, and its lock: no step is begun and no bundle swapped in meanwhile."""
        while True:
            stepper = self.stepper
            with stepper.lock:
                if stepper is self.stepper:
                    yield stepper
                    return

    @contextmanager
    def alone(self) -> Iterator[Chain]:
        """The chain, and both locks: nor is a result of `Pipeline.step` awaited meanwhile."""
        with self.one_step, self.stepper.lock:
            yield self.chain

    def lend_bound(self, new: InUse) -> None:
        """Bind in a new chain what the user bound in this one."""
        if take_over(self.chain, new.chain):
            new.stepper.bound_anew()

    def go_over(self, new: InUse, tally: Tally, watchdog: Watchdog | None) -> None:
        """Let the calls go to another bundle from now on; both locks are held. Steps that have begun end where they began."""
        self.lend_bound(new)  # what was bound since; most often nothing
        new.stepper.succeed(self.stepper, tally, watchdog)
        tally.count("reloads")
        self._chain, self.stepper = new._chain, new.stepper

    def close(self) -> None:
        """Wait for the steps under way, and let engines and buffers go. A second time does nothing."""
        if self._chain is not None:
            self.stepper.close()
            self._chain = None
