"""What is known of the machine while it was measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Moment(_Data):
    """The device at one moment; None where nobody says.

    Attributes:
        at_s: seconds since the measuring began; negative before.
        clock_mhz, memory_clock_mhz: of the GPU's multiprocessors and of its memory.
        temperature_c: of the GPU.
        power_w, power_limit_w: of a discrete GPU; of a Jetson's whole module, which has no limit to ask for.
        rails_w: a Jetson's power by rail.
        memory_mib: device memory in use, by everybody.
        load_percent: how busy the GPU was since the moment before.
        throttling: why the clocks are held down, in words; see `videoscene_rt.bench.beside.throttling`.
    """

    at_s: float = 0.0
    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    rails_w: dict[str, float] = Field(default_factory=dict)
    memory_mib: float | None = None
    load_percent: float | None = None
    throttling: tuple[str, ...] = ()


class Energy(_Data):
    """What the steps of the closed loop took, warm-up included.

    Attributes:
        joules, seconds, steps: in all.
        source: "NVML's counter", or "power, sampled".
        of: what the power is of: "the GPU", or the rails that were added up.
    """

    joules: float = Field(ge=0)
    seconds: float = Field(gt=0)
    steps: int = Field(ge=1)
    source: str
    of: str

    @property
    def joules_per_step(self) -> float:
        """Energy of one step, idle power included."""
        return self.joules / self.steps

    @property
    def watts(self) -> float:
        """Mean power."""
        return self.joules / self.seconds


class PowerMode(_Data):
    """nvpmodel's mode: its name, and its number where it was said."""

    name: str
    number: int | None = None


class HostLoad(_Data):
    """The host at one moment: the load average of a minute, the mean clock of its cores; None where the system does not say."""

    load: float | None = None
    clock_mhz: float | None = None


class Beside(_Data):
    """The machine beside a run.

    Attributes:
        sampler: which tool was asked while it ran: "nvidia-smi", "tegrastats", or "" where there is none.
        moments: what it said, thinned to what a page can show.
        throttling: by reason, the share of the samples taken while it was measured in which it held the clocks down.
        energy: None where nothing gives power.
        power_mode, clocks_locked: nvpmodel's mode and whether jetson_clocks holds the clocks, on a Jetson; None where it is none or
            does not say (jetson_clocks tells root alone).
        host_before, host_after: the host.
    """

    sampler: str = ""
    moments: tuple[Moment, ...] = ()
    throttling: dict[str, float] = Field(default_factory=dict)
    energy: Energy | None = None
    power_mode: PowerMode | None = None
    clocks_locked: bool | None = None
    host_before: HostLoad | None = None
    host_after: HostLoad | None = None

    @property
    def throttled(self) -> bool:
        """Whether anything held the clocks down while it was measured."""
        return bool(self.throttling)
