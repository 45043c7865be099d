"""tegrastats as a stream of lines: one a moment, words and numbers, different from Jetson to Jetson."""

from __future__ import annotations

import re

from videoscene_rt.bench.beside.facts import Moment

# Jetson Linux Developer Guide, "tegrastats Utility": RAM X/YMB; GR3D_FREQ X%@Y or X%@[Y,Y]; EMC_FREQ X%@Y; NAME@XC; RAIL XmW/YmW, now and
# on average; before Jetson Linux 32.7 without the unit.
_MEMORY = re.compile(r"\bRAM (\d+)/\d+MB")
_GPU = re.compile(r"\bGR3D_FREQ (\d+)%(?:@\[?(\d+))?")
_MEMORY_CLOCK = re.compile(r"\bEMC_FREQ \d+%@(\d+)")
_TEMPERATURE = re.compile(r"\b(?:gpu|GPU)@(-?\d+(?:\.\d+)?)C")
_RAIL = re.compile(r"\b((?:VDD|VIN|POM|GPU|CPU|SOC|CV|SYS)\w*) (\d+)(?:mW)?/(\d+)(?:mW)?(?![\dM(])")
_WHOLE = ("VDD_IN", "POM_5V_IN", "VIN")
"""Rails that feed everything else; without one, the rails are added up, but for the memory's on an AGX Orin, which VIN_SYS_5V0 feeds."""
_PART = "VDDQ_VDD2_1V8AO"


def command(interval_ms: int) -> tuple[str, ...]:
    """The command that prints a line every so many milliseconds."""
    return ("tegrastats", "--interval", str(interval_ms))


def parse(line: str) -> Moment | None:
    """A line of it; None if it is something else. A GPU that is off says −256 °C, which is no temperature."""
    memory = _MEMORY.search(line)
    if memory is None:
        return None
    gpu, memory_clock, temperature = (pattern.search(line) for pattern in (_GPU, _MEMORY_CLOCK, _TEMPERATURE))
    degrees = None if temperature is None else float(temperature[1])
    rails = {name: int(now) / 1e3 for name, now, _ in _RAIL.findall(line)}
    return Moment(
        clock_mhz=None if gpu is None or gpu[2] is None else float(gpu[2]),
        memory_clock_mhz=None if memory_clock is None else float(memory_clock[1]),
        temperature_c=None if degrees is None or degrees <= -200 else degrees,
        power_w=module_power(rails),
        rails_w=rails,
        memory_mib=float(memory[1]),
        load_percent=None if gpu is None else float(gpu[1]),
    )


def module_power(rails: dict[str, float]) -> float | None:
    """Watts of the module: the rail that feeds the others, or all of them together; None without any."""
    whole = next((rails[name] for name in _WHOLE if name in rails), None)
    if whole is not None or not rails:
        return whole
    return sum(watts for name, watts in rails.items() if name != _PART)


def measured_rails(rails: dict[str, float]) -> str:
    """Which rails `module_power` is of, in words."""
    whole = next((name for name in _WHOLE if name in rails), None)
    return whole or " + ".join(name for name in rails if name != _PART) or "no rail"
