"""What the roofline says of devices that were not measured: a projection, never a measurement."""

from __future__ import annotations

from dataclasses import dataclass

from videoscene_rt.bench.roofline.facts import Rates, RooflineFacts

_ORIN = "Jetson AGX Orin Series Technical Brief v1.2"
_THOR = "Jetson Thor data sheet"

DEVICES: tuple[Rates, ...] = (
    Rates(
        device="Jetson AGX Orin 64GB",
        bytes_per_s=204.8e9,
        operations_per_s={"fp32": 5.3e12, "fp16": 42.5e12, "int8": 85e12},
        how=f"{_ORIN}: 204.8 GB/s; 5.3 TFLOPS FP32; 170 TOPS sparse INT8 of the GPU, half of it dense, half of that FP16; MAXN",
    ),
    Rates(
        device="Jetson Orin NX 16GB",
        bytes_per_s=102.4e9,
        operations_per_s={"fp32": 1.88e12, "fp16": 15e12, "int8": 30e12},
        how=f"{_ORIN}'s GPU at 1,024 cores and 918 MHz: 60 TOPS sparse INT8, as above; 102.4 GB/s; 25 W mode",
    ),
    Rates(
        device="Jetson Thor (T5000)",
        bytes_per_s=273e9,
        operations_per_s={"fp32": 8.0e12, "fp16": 258.8e12, "int8": 517.5e12},
        how=f"{_THOR}: 273 GB/s; 2,070 TFLOPS sparse FP4, an eighth of it dense FP16, a quarter dense INT8; 2,560 cores at 1.57 GHz",
    ),
)
"""Published peaks, not measured ones."""

ASSUMPTIONS = (
    "Nobody has run this on these devices. A stage takes as long as its operations or its bytes do at published peak rates, whichever is "
    "longer; weights, inputs and outputs move once, and nothing else does; the stages run one after the other. Nothing in practice reaches "
    "that: it is the least time, not an expected one. “At this run's efficiency” stretches each stage by as much as it exceeds its own "
    "roofline here, which presumes that kernels are as good there, that clocks and power hold, and that launches cost the same share."
)


@dataclass(frozen=True)
class Projection:
    """One device and precision, in milliseconds a step.

    Attributes:
        device, precision: which; the precision is a ceiling: what stays FP32 by its recipe stays so.
        floor_ms: the roofline's least time.
        stretched_ms: that at the efficiency of the measured run; None where it was measured on another kind of device or precision.
        how: where the rates are from.
    """

    device: str
    precision: str
    floor_ms: float
    stretched_ms: float | None
    how: str


def project(
    roofline: RooflineFacts, measured_ms: dict[str, float], precision: str, *, like: bool
) -> tuple[Projection, ...]:
    """A row for each device in the record's precision, and one in FP16 where that is another.

    Args:
        roofline: of a record.
        measured_ms: what each stage took there.
        precision: the record's ceiling.
        like: it was measured on a GPU, so that its efficiency says something of another one's.
    """
    found = []
    for ceiling in dict.fromkeys((precision, "fp16")):
        for rates in DEVICES:
            floors = {stage.stage: stage.floor_ms(rates, _own(stage.graph, ceiling)) for stage in roofline.stages}
            known = {name: floor for name, floor in floors.items() if floor is not None}
            if len(known) < len(floors) or not known:
                continue
            stretched = _stretched(roofline, measured_ms, known) if like and ceiling == precision else None
            found.append(Projection(rates.device, ceiling, sum(known.values()), stretched, rates.how))
    return tuple(found)


def _own(graph: str, ceiling: str) -> str:
    from videoscene_rt.engines.precision.recipe import graph_precision

    return graph_precision(graph, ceiling)


def _stretched(roofline: RooflineFacts, measured_ms: dict[str, float], floors: dict[str, float]) -> float | None:
    total = 0.0
    for stage in roofline.stages:
        here, took = stage.floor_ms(roofline.rates), measured_ms.get(stage.stage)
        if not here or took is None:
            return None
        total += floors[stage.stage] * max(1.0, took / here)
    return total
