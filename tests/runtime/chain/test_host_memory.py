"""A student that does not fit into the host's memory is refused before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.scenes import scene
from videoscene_rt import BackendError, Pipeline
from videoscene_rt.chain import host_memory
from videoscene_rt.chain.host_memory import attention_scores
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.export.presets import load_preset


def test_the_published_students_scores_are_those_of_17776_tokens() -> None:
    assert attention_scores(load_preset("videoscene-5b")) == 48 * 17_776**2 * 4


def test_it_is_refused_with_the_figures_and_loaded_where_there_is_room(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = Bundle.open(small_bundle).manifest.preset
    weights = (small_bundle / "weights_student.bin").stat().st_size
    needed = weights + attention_scores(preset)
    monkeypatch.setattr(host_memory, "free_memory", lambda: needed - 1)
    with pytest.raises(
        BackendError, match=rf"a step of {preset.name} on the CPU takes more than .* are free"
    ) as caught:
        Pipeline.load(small_bundle)
    assert "a smaller preset" in (caught.value.remedy or "")
    for free in (needed, None):  # None: a system that does not say
        monkeypatch.setattr(host_memory, "free_memory", lambda free=free: free)
        with Pipeline.load(small_bundle) as pipeline:
            assert pipeline.step(scene()).frames.any()
