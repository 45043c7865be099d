"""What a soak is asked, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

from videoscene_rt.bench.fixed_rate import checked_deadline, checked_rate
from videoscene_rt.bench.soak.facts import SoakSettings
from videoscene_rt.bench.soak.limits import Limits
from videoscene_rt.chain.chain import MemoryMode
from videoscene_rt.engines.backends import check_pair
from videoscene_rt.engines.errors import InputError
from videoscene_rt.ladder import Ladder

_MOST_MINUTES = 7 * 24 * 60
_WARMUP_S, _WARMUP_SHARE = 60.0, 0.1


@dataclass(frozen=True)
class SoakRequest:
    """A soak of one bundle.

    Attributes:
        bundle: its folder. out: the record, a file.
        minutes: how long. every_s: between two looks. warmup_s: what nothing is judged of; None is a minute, or a tenth of the time.
        rate_hz: inputs a second; None is a closed loop. deadline_ms: from an input's arrival; None is a period.
        ladder: steps at the rate are made by the deadline; None lets them take their time.
        scenes: scene folders; the first is the unchanged input, and the steps go through all of them in turn. Filled up with built-in
            rooms to three.
        backend, precision, seed, threads, memory: see `Pipeline.load`.
        limits: what is too much.
    """

    bundle: Path
    out: Path
    minutes: float = 10.0
    every_s: float = 20.0
    warmup_s: float | None = None
    rate_hz: float | None = None
    deadline_ms: float | None = None
    ladder: Ladder | None = None
    scenes: tuple[Path, ...] = ()
    backend: str = "onnxruntime"
    precision: str = "fp32"
    seed: int = 0
    threads: int | None = None
    memory: MemoryMode = "auto"
    limits: Limits = field(default_factory=Limits)

    def checked(self) -> SoakRequest:
        """The same, with its warm-up and its deadline as numbers.

        Raises:
            InputError: a time, a rate or a deadline is none, or the record could not be written.
            BackendError: the backend cannot do the precision.
        """
        check_pair(self.backend, self.precision)
        if self.out.is_dir() or not self.out.parent.is_dir():
            why = "it is a folder" if self.out.is_dir() else f"there is no folder {self.out.parent}"
            raise InputError(f"{self.out} cannot be written: {why}", "name a file in a folder that is there")
        if not (isfinite(self.minutes) and 0 < self.minutes <= _MOST_MINUTES):
            raise InputError(f"a soak cannot take {self.minutes:g} minutes", f"give up to {_MOST_MINUTES:,}")
        seconds = self.minutes * 60
        warmup = min(_WARMUP_S, _WARMUP_SHARE * seconds) if self.warmup_s is None else self.warmup_s
        if not (isfinite(self.every_s) and 0 < self.every_s <= seconds):
            raise InputError(f"it cannot look every {self.every_s:g} s", f"give a time above 0 and up to {seconds:g} s")
        if not (isfinite(warmup) and 0 <= warmup < seconds):
            raise InputError(f"a warm-up of {warmup:g} s is none", f"give one from 0 s to less than {seconds:g} s")
        if self.rate_hz is None and (self.deadline_ms is not None or self.ladder is not None):
            raise InputError("a deadline is for a rate, which is not asked for", "add --rate HZ")
        deadline = self.deadline_ms
        if self.rate_hz is not None:
            deadline = checked_deadline(deadline, checked_rate(self.rate_hz))
        return replace(self, warmup_s=warmup, deadline_ms=deadline)

    @property
    def settings(self) -> SoakSettings:
        """As the record keeps it; of a checked request."""
        return SoakSettings(
            seconds=self.minutes * 60,
            every_s=self.every_s,
            warmup_s=self.warmup_s or 0.0,
            rate_hz=self.rate_hz,
            deadline_ms=self.deadline_ms,
            by_deadline=self.ladder is not None,
        )
