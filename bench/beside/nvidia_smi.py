"""nvidia-smi as a stream of lines: one a moment, CSV without header and units."""

from __future__ import annotations

from videoscene_rt.bench.beside.facts import Moment
from videoscene_rt.bench.beside.throttling import reasons
from videoscene_rt.bench.which_gpu import which_gpu

FIELDS = {
    "clock_mhz": "clocks.sm",
    "memory_clock_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "power_limit_w": "power.limit",
    "memory_mib": "memory.used",
    "load_percent": "utilization.gpu",
    "throttling": "clocks_throttle_reasons.active",
}
"""Names that every driver since 2016 answers to (newer ones call the last one clocks_event_reasons.active as well)."""


def command(interval_ms: int) -> tuple[str, ...]:
    """The command that prints a line every so many milliseconds, of the GPU that CUDA shows this process first."""
    return (
        "nvidia-smi", f"--id={which_gpu()}", f"--query-gpu={','.join(FIELDS.values())}", "--format=csv,noheader,nounits",
        f"--loop-ms={interval_ms}",
    )  # fmt: skip


def parse(line: str) -> Moment | None:
    """A line of its answer; None if it is something else. What it says is not supported is None."""
    fields = [field.strip() for field in line.split(",")]
    if len(fields) != len(FIELDS):
        return None
    found = dict(zip(FIELDS, fields, strict=True))
    mask = found.pop("throttling")
    numbers = {name: _number(text) for name, text in found.items()}
    if all(number is None for number in numbers.values()):
        return None
    return Moment(throttling=reasons(mask), **numbers)  # type: ignore[arg-type]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
