"""The roofline of the step that was measured: its counts, and the device's rates."""

from __future__ import annotations

from collections.abc import Iterable

from videoscene_rt.bench.roofline.facts import RooflineFacts
from videoscene_rt.bench.roofline.stages import stage_counts
from videoscene_rt.chain.schedule import Placed
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError


def roofline_facts(
    bundle: Bundle,
    placed: Iterable[Placed],
    precision: str,
    num_points: int,
    *,
    device: str,
    cuda: bool,
    threads: int | None,
) -> tuple[RooflineFacts | None, str]:
    """Count the stages and measure the device; or nothing, and a note that says why.

    Args:
        bundle, placed, precision, num_points: see `stage_counts`.
        device: its name.
        cuda: it is a GPU.
        threads: of the CPU.
    """
    try:
        counts = stage_counts(bundle, placed, precision, num_points)
        if cuda:
            from videoscene_rt.bench.roofline.gpu_rates import gpu_rates
            from videoscene_rt.engines.cuda.device import CudaDevice

            rates = gpu_rates(CudaDevice())
        else:
            from videoscene_rt.bench.roofline.host_rates import host_rates

            rates = host_rates(device, threads)
    except (BackendError, ImportError) as error:
        problem = error.problem if isinstance(error, BackendError) else str(error)
        return None, f"no roofline: {problem}"
    return RooflineFacts(rates=rates, stages=counts), ""
