"""How long until a pipeline is ready: loaded here, and by processes of their own with warm files."""

from __future__ import annotations

import numpy as np

from videoscene_rt.bench.step.request import BenchRequest
from videoscene_rt.bench.step_facts import StartFacts
from videoscene_rt.bench.warm_start import WarmStartRequest, start_once


def start_facts(request: BenchRequest, load_s: float, first_step_s: float) -> StartFacts:
    """Start so many processes as were asked for, one after the other.

    Raises:
        BackendError: one of them could not load the engines.
    """
    told = WarmStartRequest(
        bundle=request.bundle,
        out=request.bundle,
        backend=request.backend,
        precision=request.precision,
        runs=max(1, request.starts),
    )
    runs = [start_once(told) for _ in range(request.starts)]
    parts = runs[0]["parts"] if runs else {}
    return StartFacts(
        load_s=load_s,
        first_step_s=first_step_s,
        warm_s=tuple((run["ready"] - run["launched"]) / 1e9 for run in runs),
        parts_ms={part: round(float(np.median([run["parts"][part] for run in runs])) / 1e6, 3) for part in parts},
    )
