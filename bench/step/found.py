"""What a measurement has found so far, as a record."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any

from videoscene_rt.bench.beside.facts import Beside
from videoscene_rt.bench.beside.watching import Watch
from videoscene_rt.bench.chain_scene import Arrays
from videoscene_rt.bench.closed_loop import Samples
from videoscene_rt.bench.record import Record, Statistics, rounded_us
from videoscene_rt.bench.step.parts import Parts, words


@dataclass(frozen=True)
class Measured:
    """A record, and the pictures of the step that it is of: the results, and the two images as they were fitted.

    Attributes:
        traces: of the parts that failed, in full.
    """

    record: Record
    results: Arrays
    images: Any
    traces: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What one pipeline gives, part by part.

    Attributes:
        work: the record of the closed loop over the chain alone. samples: of the other series.
        facts: of the record, by field. notes: of the parts.
    """

    work: Record
    samples: dict[str, Samples] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def whole_ms(self) -> float:
        """Milliseconds of the whole step: on the device's clock where there is one."""
        return self.work.statistics["device" if "device" in self.work.statistics else "host"].p50

    def record(self, parts: Parts, watch: Watch | None) -> Record:
        """The record of what there is.

        Args:
            parts: what failed, and what is under way.
            watch: over the machine; None looks at it no more.
        """
        statistics = {
            **self.work.statistics,
            **{name: Statistics.of(values) for name, values in self.samples.items() if values.size},
        }
        samples = {name: values for name, values in self.samples.items() if values.size}
        notes = [*self.work.notes, *self.notes]
        update: dict[str, Any] = {
            **self.facts,
            "statistics": statistics,
            "samples_us": {**(self.work.samples_us or {}), **rounded_us(samples)},
        }
        if watch is not None:
            try:
                beside = watch.found()
                update["beside"] = beside
                notes += watch.silence() + _throttling(beside)
                if "costs" in self.facts:
                    update["costs"] = self.facts["costs"].model_copy(update={"device_peak_bytes": watch.peak_bytes()})
            except Exception as error:  # what a tool said that nobody expected must not take the figures with it
                parts.failed("the machine beside the run", words(error), traceback.format_exc())
        if "chain" in self.facts:
            tails = {name: one.p99 / one.p50 for name, one in statistics.items() if one.p99 is not None and one.p50}
            update["chain"] = self.facts["chain"].model_copy(update={"p99_over_p50": tails})
        failures = dict(parts.failures)
        if parts.under_way:
            failures["the rest"] = f"not measured: the process ended during or after {parts.under_way!r}"
        return self.work.model_copy(update={**update, "notes": tuple(notes), "failures": failures})


def _throttling(beside: Beside) -> list[str]:
    return [f"throttled: {reason} in {share:.0%} of the samples" for reason, share in beside.throttling.items()]


def doubts(found: Found) -> list[str]:
    """What speaks against the roofline, in words; nothing where no stage was timed."""
    stages, roofline = found.facts.get("stages"), found.facts.get("roofline")
    if stages is None or roofline is None:
        return []
    words = roofline.doubts({span.stage: span.end_ms - span.start_ms for span in stages.uncaptured})
    return [words] if words else []
