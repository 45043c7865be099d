"""Frames on a clock that the test turns, and of a pipeline that streams."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from videoscene_rt import Pipeline
from videoscene_rt.bench.chain_scene import sources
from videoscene_rt.bench.closed_loop import LoopSettings
from videoscene_rt.bench.frame_stream import arrivals, streams, watch_frames
from videoscene_rt.bench.step.loads import chunked
from videoscene_rt.engines.errors import InputError


class Stream:
    """Groups of frames after so many milliseconds each, in turn."""

    def __init__(self, *groups: tuple[float, int]) -> None:
        self.now, self._groups = 0, groups

    def clock(self) -> int:
        return self.now

    def __iter__(self) -> Iterator[int]:
        for wait, frames in itertools.cycle(self._groups):
            self.now += int(wait * 1e6)
            yield frames


def test_spacing_and_rate_of_a_stream() -> None:
    """Four frames every 40 ms and then every 60: 80 frames a second."""
    stream = Stream((40, 4), (60, 4))
    found = watch_frames(iter(stream), 5, stream.clock)
    np.testing.assert_array_equal(found.spacing, [60, 40, 60, 40])
    assert (found.group, found.frames, found.seconds) == (4, 16, 0.2)
    assert found.frames_per_second == 80


def test_a_clock_that_stands_still_has_no_rate() -> None:
    stream = Stream((0, 9))
    assert watch_frames(iter(stream), 3, stream.clock).frames_per_second is None


@pytest.mark.parametrize("groups", [0, 1])
def test_one_group_has_no_spacing(groups: int) -> None:
    with pytest.raises(InputError, match="at least 2 steps"):
        watch_frames(iter(Stream((1, 1))), groups)


def test_a_source_that_ends() -> None:
    with pytest.raises(InputError, match="ended before"):
        watch_frames(iter([9, 9, 9]), 5)


def test_a_pipeline_streams_and_keeps_no_slot(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle, threads=1) as pipeline:
        scene = sources(pipeline.preset)[0].load()
        settings = LoopSettings(iterations=3, seconds=0, warmup_iterations=1, warmup_s=0)
        first, last, sizes = arrivals(pipeline, scene, settings)
        assert first.shape == last.shape == (3,)
        assert ((first > 0) & (first < last)).all()
        assert sizes == (1, 4, 4)
        clips = streams(pipeline, scene, 2)
        assert [next(clips) for _ in range(5)] == [1, 4, 4, 1, 4]
        clips.close()  # type: ignore[attr-defined]
        handles = [pipeline.submit(scene, timeout=10) for _ in range(2)]  # the part under way comes to its end
        for handle in handles:
            handle.result()
            handle.release()


@pytest.mark.parametrize(
    ("sizes", "words"), [((9, 8, 8, 8, 8, 8), "9 + 5 × 8"), ((1, 4, 4), "1 + 2 × 4"), ((9,), "9"), ((9, 8), "9 + 8")]
)
def test_chunks_in_words(sizes: tuple[int, ...], words: str) -> None:
    assert chunked(sizes) == words
