"""A device that has no memory left, played: its n-th allocation fails, or its n-th stream, event or capture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.documented import check_documented
from tests.support.scenes import scene
from tests.support.simulated_device import HashBackend, SimulatedDevice
from videoscene_rt import BackendError, Pipeline
from videoscene_rt.chain import stage_engines
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.engines.bundle import Bundle

CALLS = ("block", "new_stream", "event", "capture")
_MOST = 40


class PoorDevice(SimulatedDevice):
    """A simulated device whose calls of one kind fail, once: the one with that number."""

    def __init__(self, kind: str, number: int) -> None:
        super().__init__()
        self.calls = 0
        self.poor = True
        real = getattr(self, kind)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.poor and self.calls == number + 1:
                raise BackendError(f"{self.name} has no memory left for a {kind}", "end what else uses the device")
            return real(*arguments, **options)

        setattr(self, kind, call)


def load(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, device: SimulatedDevice) -> Pipeline:
    backend = HashBackend(device)
    monkeypatch.setattr(stage_engines, "watch_engine", backend.watch)
    chain = Chain(plan_chain(bundle.manifest), bundle, backend, slots=2, capture=True)
    chain.write("prompt", bundle.prompt())
    return Pipeline(bundle, chain, backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CALLS)
def test_what_cannot_be_had_is_said_and_had_the_next_time(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Wherever it is, at load or at the first steps: a BackendError, or a note where the chain runs without it; then the same bits."""
    bundle = Bundle.open(small_bundle)
    with load(bundle, monkeypatch, SimulatedDevice()) as whole:
        expected = whole.step(scene(), seed=0).copy().frames
    refused = noted = 0
    for number in range(_MOST):
        device = PoorDevice(kind, number)
        try:
            with load(bundle, monkeypatch, device) as pipeline:
                noted += bool(pipeline.notes)
                try:
                    frames = pipeline.step(scene(), seed=0).copy().frames
                except BackendError:
                    refused += 1
                    frames = pipeline.step(scene(), seed=0).copy().frames  # the same pipeline goes on
                assert np.array_equal(frames, expected)
        except BackendError as error:
            check_documented(error)
            refused += 1
            device.poor = False
            with load(bundle, monkeypatch, device) as again:
                assert np.array_equal(again.step(scene(), seed=0).copy().frames, expected)
        if device.calls <= number:
            break
    else:
        pytest.fail(f"more than {_MOST} calls of {kind}")
    assert refused or noted
