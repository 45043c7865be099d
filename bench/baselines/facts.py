"""What a record says of a baseline that ran in turns with it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

RMS_LIMIT = 0.05
"""Largest relative difference between two runners' output_rms before a table says that they may not compute the same."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Round(_Data):
    """One turn of each: the medians of so many steps, milliseconds on the host's clock, inputs in place."""

    subject_ms: float = Field(gt=0)
    baseline_ms: float = Field(gt=0)

    @property
    def ratio(self) -> float:
        """How many times as long the baseline took."""
        return self.baseline_ms / self.subject_ms


class BaselineFacts(_Data):
    """One baseline.

    Attributes:
        name: "torch-eager", "torch-compile", "torch-reduce-overhead", "onnxruntime" or "onnxruntime-cuda".
        precision: its own ceiling.
        steps: of each turn. rounds: the turns, ours first: A B A B.
        setup_s: seconds until its first step was done; compiling is in it.
        output_rms: root mean square of each output; null: not finite.
        versions, notes: its own.
        failure: why there is nothing of it, or why it broke off after the rounds that there are; "" otherwise.
    """

    name: str
    precision: str
    steps: int = Field(default=0, ge=0)
    rounds: tuple[Round, ...] = ()
    setup_s: float | None = None
    output_rms: dict[str, FiniteFloat | None] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failure: str = ""

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """How many times as long it took: the median of the rounds, the least and the most; None without any."""
        found = sorted(one.ratio for one in self.rounds)
        if not found:
            return None
        middle = len(found) // 2
        median = found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
        return median, found[0], found[-1]

    def doubt(self, output_rms: dict[str, float | None]) -> str:
        """What speaks against the comparison: outputs that differ by more than 5 % in root mean square; "" where nothing does."""
        for name, mine in output_rms.items():
            theirs = self.output_rms.get(name)
            if mine is None or theirs is None or abs(mine - theirs) > RMS_LIMIT * max(abs(mine), abs(theirs)):
                return f"output {name} differs: RMS {mine} and {theirs}"
        return ""
