"""A Jetson's power mode and whether its clocks are locked: nvpmodel and jetson_clocks, asked once."""

from __future__ import annotations

import re
import shutil
import subprocess

from videoscene_rt.bench.beside.facts import PowerMode

_TIMEOUT_S = 20
_MODE = re.compile(r"NV Power Mode: *(\S.*?) *$(?:\n(\d+)\s*$)?", re.MULTILINE)
_CPU = re.compile(r"^cpu\d+: +Online=(\d) .*?MinFreq=(\d+) +MaxFreq=(\d+)", re.MULTILINE)
_GPU = re.compile(r"^(?:GPU|gpu-gpc-\d+) MinFreq=(\d+) +MaxFreq=(\d+)", re.MULTILINE)
_MEMORY = re.compile(r"^EMC MinFreq=(\d+) +MaxFreq=(\d+) +CurrentFreq=(\d+)(?: +FreqOverride=(\d))?", re.MULTILINE)


def power_mode() -> PowerMode | None:
    """nvpmodel's mode now; None where there is none."""
    return parse_power_mode(_asked("nvpmodel", "-q"))


def clocks_locked() -> bool | None:
    """Whether jetson_clocks holds the clocks at their maximum now; None where it does not say (it tells root alone)."""
    return parse_clocks(_asked("jetson_clocks", "--show"))


def parse_power_mode(text: str) -> PowerMode | None:
    """What ``nvpmodel -q`` prints: "NV Power Mode: MAXN", and the mode's number on the next line; with --verbose among other lines."""
    found = _MODE.search(text)
    if found is None:
        return None
    return PowerMode(name=found[1], number=None if found[2] is None else int(found[2]))


def parse_clocks(text: str) -> bool | None:
    """What ``jetson_clocks --show`` prints: locked where every core that is on, the GPU and the memory run at one clock alone.

    The memory's is held by an override, or its lowest clock is raised; which, depends on the Jetson. None if the text is something else.
    """
    gpus, memory = _GPU.findall(text), _MEMORY.search(text)
    if not gpus:
        return None
    pairs = [(low, high) for online, low, high in _CPU.findall(text) if online == "1"] + gpus
    held = all(low == high for low, high in pairs)
    if memory is not None:
        held &= memory[4] == "1" or memory[1] == memory[2]
    return held


def _asked(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
