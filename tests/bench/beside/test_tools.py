"""Texts of the documented formats of nvidia-smi, tegrastats, nvpmodel and jetson_clocks, and texts that are something else."""

from __future__ import annotations

import pytest

from videoscene_rt.bench.beside import nvidia_smi, tegrastats
from videoscene_rt.bench.beside.facts import PowerMode
from videoscene_rt.bench.beside.jetson import parse_clocks, parse_power_mode
from videoscene_rt.bench.beside.throttling import new_events, reasons

H100 = "1980, 2619, 52, 303.80, 700.00, 1466, 97, 0x0000000000000000"
ORIN = (
    "11-14-2024 12:34:56 RAM 3162/30536MB (lfb 6x4MB) SWAP 0/15268MB (cached 0MB) CPU [1%@729,0%@729,off,off,12%@2201] "
    "EMC_FREQ 14%@3199 GR3D_FREQ 63%@[1300,1299] NVENC off APE 174 cpu@47.968C soc2@46.5C gpu@46.343C tj@47.968C soc1@45C soc0@46.906C "
    "VDD_GPU_SOC 8175mW/5175mW VDD_CPU_CV 796mW/796mW VIN_SYS_5V0 4225mW/4220mW VDDQ_VDD2_1V8AO 804mW/804mW"
)
ORIN_NX = (
    "01-02-2025 09:00:00 RAM 2500/15656MB (lfb 2x4MB) SWAP 0/7828MB (cached 0MB) CPU [3%@1190,2%@1190,off,off] "
    "GR3D_FREQ 0%@[305] cpu@48.3C gpu@-256C tj@48.3C VDD_IN 4856mW/4790mW VDD_CPU_GPU_CV 738mW/738mW VDD_SOC 1436mW/1436mW"
)
THOR = (
    "RAM 9000/125771MB (lfb 2x4MB) GR3D_FREQ @[1575,1575,1575] GPU@51.0C "
    "VDD_GPU 9900mW/9000mW VDD_CPU_SOC_MSS 7000mW/6900mW VIN 31000mW/30000mW"
)
XAVIER = (
    "RAM 2722/7771MB (lfb 900x4MB) SWAP 0/3885MB (cached 0MB) CPU [4%@1190,3%@1190] "
    "EMC_FREQ 0%@1600 GR3D_FREQ 7%@114 GPU@34C VDD_IN 2525/2600 VDD_CPU 400/410"
)


def test_nvidia_smi() -> None:
    found = nvidia_smi.parse(H100)
    assert found is not None
    assert (found.clock_mhz, found.memory_clock_mhz, found.temperature_c) == (1980, 2619, 52)
    assert (found.power_w, found.power_limit_w, found.memory_mib, found.load_percent) == (303.8, 700, 1466, 97)
    assert found.throttling == ()
    held = nvidia_smi.parse(H100.replace("0x0000000000000000", "0x0000000000000044"))
    assert held is not None
    assert held.throttling == ("power cap", "hardware thermal slowdown")
    some = nvidia_smi.parse("1980, [N/A], 41, [Not Supported], 700.00, 10, 0, [N/A]")
    assert some is not None
    assert (some.power_w, some.memory_clock_mhz, some.throttling) == (None, None, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No devices were found",
        'Field "clocks.sm" is not a valid field to query.',
        "1, 2",
        ",,,,,,,",
        "a, b, c, d, e, f, g, h",
    ],
)
def test_what_nvidia_smi_does_not_say(text: str) -> None:
    assert nvidia_smi.parse(text) is None


def test_the_query_and_the_parser_agree() -> None:
    told = nvidia_smi.command(100)
    query = next(word for word in told if word.startswith("--query-gpu="))
    assert len(query.split(",")) == len(H100.split(",")) == len(nvidia_smi.FIELDS)
    assert "--loop-ms=100" in told


def test_masks_in_words() -> None:
    assert reasons("0x0000000000000001") == (), "an idle GPU is not throttled"
    assert reasons("0x00000000000001FE") == (
        "power cap", "hardware slowdown", "software thermal slowdown", "hardware thermal slowdown", "power brake",
    )  # fmt: skip
    assert reasons("Not Active") == reasons("") == ()


def test_tegrastats_of_an_agx_orin_adds_its_rails_up() -> None:
    found = tegrastats.parse(ORIN)
    assert found is not None
    assert (found.clock_mhz, found.memory_clock_mhz, found.load_percent, found.temperature_c) == (
        1300,
        3199,
        63,
        46.343,
    )
    assert found.rails_w == {"VDD_GPU_SOC": 8.175, "VDD_CPU_CV": 0.796, "VIN_SYS_5V0": 4.225, "VDDQ_VDD2_1V8AO": 0.804}
    assert found.power_w == pytest.approx(8.175 + 0.796 + 4.225)
    assert found.memory_mib == 3162
    assert tegrastats.measured_rails(found.rails_w) == "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"


@pytest.mark.parametrize(
    ("line", "clock", "degrees", "watts", "rail"),
    [(ORIN_NX, 305, None, 4.856, "VDD_IN"), (XAVIER, 114, 34, 2.525, "VDD_IN"), (THOR, None, 51, 31.0, "VIN")],
)
def test_tegrastats_of_others_has_a_rail_for_everything(
    line: str, clock: float | None, degrees: float | None, watts: float, rail: str
) -> None:
    found = tegrastats.parse(line)
    assert found is not None
    assert (found.clock_mhz, found.temperature_c, found.power_w) == (clock, degrees, watts)
    assert tegrastats.measured_rails(found.rails_w) == rail


@pytest.mark.parametrize("text", ["", "tegrastats: command not found", "GR3D_FREQ 0%@114"])
def test_what_tegrastats_does_not_say(text: str) -> None:
    assert tegrastats.parse(text) is None


def test_a_line_that_was_cut_off_keeps_what_is_whole() -> None:
    found = tegrastats.parse(ORIN[: ORIN.index("VDD_CPU_CV") + 14])
    assert found is not None
    assert found.rails_w == {"VDD_GPU_SOC": 8.175}
    assert tegrastats.parse("RAM 1/2MB") is not None
    assert tegrastats.module_power({}) is None


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", PowerMode(name="MAXN", number=0)),
        ("NVPM WARN: fan mode is not set!\nNV Power Mode: MODE_15W_6CORE\n2\n", PowerMode(name="MODE_15W_6CORE", number=2)),
        ("NVPM VERB: parsing done\nNVPM VERB: Current mode: NV Power Mode: 25W\n1\nNVPM VERB: X", PowerMode(name="25W", number=1)),
        ("NV Power Mode: MAXN_SUPER", PowerMode(name="MAXN_SUPER")),
        ("", None),
        ("nvpmodel: command not found", None),
    ],
)  # fmt: skip
def test_nvpmodel(text: str, mode: PowerMode | None) -> None:
    assert parse_power_mode(text) == mode


SHOW = """SOC family:tegra234  Machine:NVIDIA Jetson AGX Orin Developer Kit
Online CPUs: 0-1
cpu0:  Online=1 Governor=schedutil MinFreq={cpu} MaxFreq=2201600 CurrentFreq=2201600 IdleStates: WFI=0 c7=0
cpu1:  Online=1 Governor=schedutil MinFreq=2201600 MaxFreq=2201600 CurrentFreq=2201600 IdleStates: WFI=0 c7=0
cpu2:  Online=0 Governor=schedutil MinFreq=729600 MaxFreq=2201600 CurrentFreq=729600 IdleStates: WFI=1 c7=1
GPU MinFreq={gpu} MaxFreq=1300500000 CurrentFreq=1300500000
Active GPU TPCs: 8
EMC MinFreq=204000000 MaxFreq=3199000000 CurrentFreq=3199000000 FreqOverride={emc}
FAN Dynamic Speed Control=nvfancontrol hwmon0_pwm1=69
NV Power Mode: MAXN
"""


@pytest.mark.parametrize(
    ("cpu", "gpu", "emc", "locked"),
    [
        (2201600, 1300500000, 1, True),
        (729600, 1300500000, 1, False),
        (2201600, 306000000, 1, False),
        (2201600, 1300500000, 0, False),
    ],
)
def test_jetson_clocks(cpu: int, gpu: int, emc: int, locked: bool) -> None:
    assert parse_clocks(SHOW.format(cpu=cpu, gpu=gpu, emc=emc)) is locked


def test_jetson_clocks_of_a_thor_and_without_rights() -> None:
    thor = (
        "gpu-gpc-0 MinFreq=1575000000 MaxFreq=1575000000 CurrentFreq=1575000000\n"
        "EMC MinFreq=4266000000 MaxFreq=4266000000 CurrentFreq=4266000000 FreqOverride=0\n"
    )
    assert parse_clocks(thor) is True
    assert parse_clocks("Error: Please run with sudo\n") is None


def test_new_over_current_events_throttle() -> None:
    assert new_events({"oc1": 3, "oc2": 0}, {"oc1": 3, "oc2": 2}) == ("over-current alarm oc2",)
    assert new_events({}, {"oc1": 3}) == (), "what was before is not known"
