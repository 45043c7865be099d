"""What a record says of the roofline."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Bound = Literal["operations", "bytes"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rates(_Data):
    """How fast a device is.

    Attributes:
        device: its name.
        bytes_per_s: of a large copy, reading and writing counted.
        operations_per_s: of matrix products by precision, a multiplication and an addition counted as two; of those that are known.
        how: how they were found, in words.
    """

    device: str
    bytes_per_s: float = Field(gt=0)
    operations_per_s: dict[str, float]
    how: str


class StageCounts(_Data):
    """What a stage takes at least: see `videoscene_rt.bench.roofline.operations.Counts`; its inputs as far as they are used.

    Attributes:
        stage, graph: its names. precision: the graph's own.
        operations, weights, io_bytes, between_elements: of one run.
    """

    stage: str
    graph: str
    precision: str
    operations: int = Field(ge=0)
    weights: int = Field(ge=0)
    io_bytes: int = Field(ge=0)
    between_elements: int = Field(ge=0)

    def least_bytes(self, precision: str | None = None) -> int:
        """Weights in a precision (the stage's own by default), inputs and outputs, each once."""
        return self.weights * WIDTHS[precision or self.precision] + self.io_bytes

    def floor_ms(self, rates: Rates, precision: str | None = None) -> float | None:
        """The least time on a device: the longer of operations and bytes; None where the precision's rate is not known."""
        parts = self.parts_ms(rates, precision)
        return None if parts is None else max(parts)

    def parts_ms(self, rates: Rates, precision: str | None = None) -> tuple[float, float] | None:
        """Milliseconds of the operations alone and of the bytes alone."""
        rate = rates.operations_per_s.get(precision or self.precision)
        if rate is None:
            return None
        return self.operations / rate * 1e3, self.least_bytes(precision) / rates.bytes_per_s * 1e3

    def bound(self, rates: Rates) -> Bound | None:
        """What it is bound by; None where that is not known."""
        parts = self.parts_ms(rates)
        return None if parts is None else "operations" if parts[0] >= parts[1] else "bytes"


class RooflineFacts(_Data):
    """The measured device's rates, and what each stage takes."""

    rates: Rates
    stages: tuple[StageCounts, ...]

    def doubts(self, took_ms: dict[str, float]) -> str:
        """Stages that took less than their roofline, in words; "" where there is none."""
        floors = {stage.stage: stage.floor_ms(self.rates) for stage in self.stages}
        under = [
            name for name, floor in floors.items() if floor is not None and took_ms.get(name, floor) < floor * _SURE
        ]
        if not under:
            return ""
        return (
            f"the roofline is in doubt: {', '.join(under)} took less; the rates were measured while the machine did other work, or a "
            "convolution is computed with fewer operations"
        )


_SURE = 0.95
WIDTHS = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}
"""Bytes of a weight."""
