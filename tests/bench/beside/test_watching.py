"""The machine watched by a tool that the test makes: a sampler in a process of its own, energy, throttling."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt.bench.beside import nvidia_smi, sampler
from videoscene_rt.bench.beside.facts import Moment
from videoscene_rt.bench.beside.host_load import host_load
from videoscene_rt.bench.beside.nvml import EnergyCounter
from videoscene_rt.bench.beside.sampler import Sampler, Tool
from videoscene_rt.bench.beside.throttling import over_current
from videoscene_rt.bench.beside.watching import Watch, mean_power, shares, thinned

LINE = "1980, 2619, 52, 300.00, 700.00, 1466, 97, 0x{mask:016x}"
FIVE = "import time\nfor n in range(5): print({line!r}, flush=True); time.sleep(0.02)\n{then}"


def tool(mask: int = 0, then: str = "time.sleep(60)") -> Tool:
    code = FIVE.format(line=LINE.format(mask=mask), then=then)
    return Tool("nvidia-smi", lambda interval_ms: ("python3", "-c", code), nvidia_smi.parse)


def until_it_spoke(watched: Sampler) -> None:
    """Wait until five lines are there, a busy machine's seconds at most."""
    deadline = time.monotonic() + 30
    assert watched._folder is not None
    while time.monotonic() < deadline:
        written = [path.read_bytes().count(b"\n") for path in Path(watched._folder.name).iterdir() if path.is_file()]
        if max(written, default=0) >= 5:
            return
        time.sleep(0.02)


def test_lines_come_with_times_from_a_process_that_ends_with_the_block() -> None:
    begin = time.monotonic_ns()
    with Sampler(tool()) as watched:
        until_it_spoke(watched)
    end_s = (time.monotonic_ns() - begin) / 1e9
    process = watched._process
    assert process is not None
    assert process.returncode == 0
    moments = watched.moments(begin)
    assert len(moments) == 5
    assert all(0 <= a.at_s <= b.at_s <= end_s for a, b in pairwise(moments))
    assert moments[0].power_w == 300


@pytest.mark.parametrize("then", ["", "print('half a li', end='', flush=True)", "raise SystemExit(9)"])
def test_a_tool_that_ends_early_or_says_nonsense(then: str) -> None:
    with Sampler(tool(then=then)) as watched:
        until_it_spoke(watched)
    assert len(watched.moments(0)) == 5


def test_lines_come_at_once_from_a_tool_that_does_not_flush() -> None:
    """It writes into a terminal of its own; into a pipe, its lines would come in one piece at its end, or never."""
    code = f"import time\nfor n in range(5): print({LINE.format(mask=0)!r}); time.sleep(0.1)\ntime.sleep(60)"
    quiet = Tool("nvidia-smi", lambda interval_ms: ("python3", "-c", code), nvidia_smi.parse)
    with Sampler(quiet) as watched:
        until_it_spoke(watched)
    times = [moment.at_s for moment in watched.moments(0)]
    assert len(times) == 5
    assert all(later - earlier > 0.02 for earlier, later in pairwise(times))


def test_there_is_a_moment_of_before_the_block() -> None:
    with Sampler(tool()) as watched:
        assert watched.moments(time.monotonic_ns())[0].at_s <= 0


def test_what_a_tool_says_instead() -> None:
    words = 'Field "clocks.sm" is not a valid field to query.'
    broken = Tool("nvidia-smi", lambda interval_ms: ("python3", "-c", f"print({words!r})"), nvidia_smi.parse)
    with Watch(broken, None, expected=True) as watch:
        watch.measuring(lambda: None, lambda: 4)
    assert watch.silence() == [
        f"the machine was not sampled: nvidia-smi said {words!r}",
        "no energy: neither NVML's counter nor a sample of the power",
    ]
    with Watch(None, None, expected=True) as watch:
        watch.measuring(lambda: None, lambda: 4)
    assert watch.silence()[0] == "the machine was not sampled: there is neither nvidia-smi nor tegrastats"
    with Watch(None, None) as watch:
        watch.measuring(lambda: None, lambda: 4)
    assert watch.silence() == [], "a CPU has neither"


def test_the_memory_of_what_is_measured_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 MiB were in use before it; what others take before and after it does not count."""
    seen = ((-2.0, 9000.0), (-0.1, 1000.0), (0.1, 1400.0), (0.5, 1700.5), (0.9, 1600.0), (1.5, 5000.0))
    watch = Watch(None, None)
    moments = tuple(Moment(at_s=at, memory_mib=mib) for at, mib in seen)
    monkeypatch.setattr(watch._sampler, "moments", lambda begin_ns: moments)
    assert watch.peak_bytes() is None, "nothing was measured"
    watch._ours = (0, 1_000_000_000)
    assert watch.peak_bytes() == int(700.5 * 2**20)
    moments = moments[2:]
    assert watch.peak_bytes() is None, "nobody knows what was there before"


def test_without_a_tool_nothing_happens() -> None:
    with Sampler(None) as watched:
        pass
    assert watched.moments(0) == ()
    with Sampler(Tool("none", lambda interval_ms: ("/no/such/program",), nvidia_smi.parse)) as watched:
        pass
    assert watched.moments(0) == ()


def test_a_jetson_is_asked_by_tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sampler.installed() is None
    for name in ("nvidia-smi", "tegrastats"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        assert shutil.which(name)
        found = sampler.installed()
        assert found is not None
        assert found.name == name


class Library:
    """Stands for libnvidia-ml: 250 J more at every reading."""

    def __init__(self, status: int = 0) -> None:
        self.status, self.joules = status, 0

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Any, found: Any) -> int:  # noqa: N802
        self.joules += 250
        ctypes.cast(found, ctypes.POINTER(ctypes.c_ulonglong)).contents.value = self.joules * 1000
        return self.status


def test_energy_by_the_counter() -> None:
    counter = EnergyCounter(lambda name: Library())
    with Watch(None, counter) as watch:
        watch.measuring(lambda: time.sleep(0.01), lambda: 50)
    energy = watch.found().energy
    assert energy is not None
    assert (energy.joules, energy.joules_per_step, energy.source) == (250, 5, "NVML's counter")
    assert energy.watts == pytest.approx(250 / energy.seconds)


def test_energy_by_samples_and_throttling() -> None:
    """Where the counter is not supported; the samples say 300 W and a power cap."""
    counter = EnergyCounter(lambda name: Library(status=3))
    assert not counter.works
    with Watch(tool(mask=0x4), counter) as watch:
        watch.measuring(lambda: until_it_spoke(watch._sampler), lambda: 10)
    found = watch.found()
    assert found.sampler == "nvidia-smi"
    assert len(found.moments) == 5
    assert found.throttling == {"power cap": 1.0}
    assert found.throttled
    assert found.energy is not None
    inside = sum(0 <= moment.at_s <= found.energy.seconds for moment in found.moments)
    assert 1 <= inside <= 5, "the first line was waited for"
    assert found.energy.source == f"power, sampled {inside} times"
    assert found.energy.watts == pytest.approx(300)


def test_what_was_before_the_measuring_does_not_count() -> None:
    with Watch(tool(mask=0x4), None) as watch:
        until_it_spoke(watch._sampler)
        assert watch.measuring(lambda: "it", lambda: 3) == "it"
    found = watch.found()
    assert len(found.moments) == 5
    assert (found.throttled, found.energy) == (False, None)


def test_throttling_and_power_of_what_was_measured() -> None:
    moments = [Moment(at_s=at, power_w=watts, throttling=why) for at, watts, why in (
        (0.0, 100.0, ()), (1.0, 300.0, ("power cap",)), (3.0, 300.0, ("power cap", "power brake")), (4.0, 100.0, ()),
    )]  # fmt: skip
    assert shares(moments) == {"power cap": 0.5, "power brake": 0.25}
    assert mean_power(moments, 4.0) == pytest.approx((200 + 600 + 200) / 4)
    assert mean_power(moments[1:2], 5.0) == 300, "one sample stands for all the time"
    assert mean_power([Moment(at_s=1.0)], 4.0) is None
    assert mean_power(moments, 0.0) is None
    assert shares([]) == {}


def test_no_steps_have_no_energy() -> None:
    with Watch(None, EnergyCounter(lambda name: Library())) as watch:
        watch.measuring(lambda: None, lambda: 0)
    assert watch.found().energy is None


def test_no_driver_has_no_counter() -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    assert EnergyCounter(missing).joules() is None


def test_thinning_keeps_the_ends() -> None:
    moments = [Moment(at_s=float(n)) for n in range(1000)]
    kept = thinned(moments, 400)
    assert (len(kept), kept[0], kept[-1]) == (400, moments[0], moments[-1])
    assert thinned(moments[:5], 400) == tuple(moments[:5])


def test_the_hosts_load(tmp_path: Path) -> None:
    assert host_load(tmp_path).load is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/loadavg").write_text("3.99 2.50 1.00 3/200 4711\n")
    (tmp_path / "proc/cpuinfo").write_text("cpu MHz\t\t: 2400.0\ncpu MHz\t\t: 2600.0\nflags : x\n")
    found = host_load(tmp_path)
    assert (found.load, found.clock_mhz) == (3.99, 2500)
    clock = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    clock.parent.mkdir(parents=True)
    clock.write_text("1900000\n")
    assert host_load(tmp_path).clock_mhz == 1900
    assert host_load(Path("/")).load is not None or not os.path.exists("/proc/loadavg")  # noqa: PTH110


def test_a_jetsons_alarms(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/hwmon/hwmon3"
    folder.mkdir(parents=True)
    (folder / "oc1_event_cnt").write_text("7\n")
    (folder / "oc2_event_cnt").write_text("?\n")
    assert over_current(tmp_path) == {"oc1": 7}
    assert over_current(tmp_path / "none") == {}
