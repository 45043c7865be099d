"""The host at one moment: what else it has to do, and how fast its cores run."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from videoscene_rt.bench.beside.facts import HostLoad


def host_load(root: Path = Path("/")) -> HostLoad:
    """Read /proc/loadavg and the cores' clocks, from cpufreq or else from /proc/cpuinfo. ``root`` stands for / in tests."""
    average = _text(root / "proc/loadavg").split()
    clocks = [
        float(text) / 1e3
        for path in root.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")
        if (text := _text(path).strip()).isdecimal()
    ]
    if not clocks:
        lines = [line.partition(":") for line in _text(root / "proc/cpuinfo").splitlines()]
        clocks = [float(value) for name, _, value in lines if name.strip() == "cpu MHz"]
    return HostLoad(load=float(average[0]) if average else None, clock_mhz=round(fmean(clocks), 1) if clocks else None)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
