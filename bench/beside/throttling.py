"""Why clocks are held down: NVML's bits in words, and a Jetson's counters of over-current events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

# nvml.h, nvmlClocksEventReasons; nvidia-smi prints the same mask.
BITS = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x020: "software thermal slowdown",
    0x040: "hardware thermal slowdown",
    0x080: "power brake",
}
"""What throttles. The other bits do not: 0x001 idle, 0x002 clocks that an application set, 0x010 boost in step with other GPUs,
0x100 display."""


def reasons(mask: str) -> tuple[str, ...]:
    """The throttling reasons of a mask as nvidia-smi prints it ("0x0000000000000044"); () where it is none."""
    try:
        bits = int(mask, 16)
    except ValueError:
        return ()
    return tuple(words for bit, words in BITS.items() if bits & bit)


def over_current(root: Path = Path("/")) -> dict[str, int]:
    """How often each over-current alarm of a Jetson has throttled it since it started; {} elsewhere. ``root`` stands for / in tests.

    Files oc*_event_cnt of its hwmon (Jetson Linux Developer Guide, "Jetson Orin … Power and Performance").
    """
    found = {}
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")):
        try:
            found[path.name.removesuffix("_event_cnt")] = int(path.read_text().strip())
        except (OSError, ValueError):
            continue
    return found


def new_events(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[str, ...]:
    """The alarms that went off in between, in words."""
    return tuple(f"over-current alarm {name}" for name, count in after.items() if count > before.get(name, count))
