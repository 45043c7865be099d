"""Chunks of the published autoencoder: they tile the clip, and nothing else is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.errors import InputError


def test_the_published_clip() -> None:
    assert frame_chunks(49) == [(0, 9), (9, 17), (17, 25), (25, 33), (33, 41), (41, 49)]
    assert latent_chunks(13) == [(0, 3), (3, 5), (5, 7), (7, 9), (9, 11), (11, 13)]


def test_the_shortest_clip() -> None:
    assert frame_chunks(9) == [(0, 9)]
    assert latent_chunks(3) == [(0, 3)]


@given(st.integers(1, 200))
def test_chunks_tile_the_clip_and_correspond(k: int) -> None:
    frames, latent = frame_chunks(8 * k + 1), latent_chunks(2 * k + 1)
    assert [i for start, stop in frames for i in range(start, stop)] == list(range(8 * k + 1))
    assert [i for start, stop in latent for i in range(start, stop)] == list(range(2 * k + 1))
    # Latent frame i holds frames 4i-3 … 4i, so a latent chunk that stops at s ends with frame 4(s-1).
    assert [stop for _, stop in frames] == [4 * (stop - 1) + 1 for _, stop in latent]


@given(st.integers(-20, 300).filter(lambda n: n < 9 or n % 8 != 1))
def test_other_frame_counts_are_refused(frames: int) -> None:
    with pytest.raises(InputError, match=rf"a clip of {frames} frames") as caught:
        frame_chunks(frames)
    assert "8k+1" in str(caught.value)


@given(st.integers(-20, 100).filter(lambda n: n < 3 or n % 2 != 1))
def test_other_latent_frame_counts_are_refused(latent_frames: int) -> None:
    with pytest.raises(InputError, match=rf"a clip of {latent_frames} latent frames") as caught:
        latent_chunks(latent_frames)
    assert "2k+1" in str(caught.value)
