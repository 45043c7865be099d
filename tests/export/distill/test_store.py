"""Variations of clips, and the table of latents."""

from __future__ import annotations

import torch

from tests.export.distill.presets import CPU, TEENY
from videoscene_rt.export.distill.autoencoding import encode, unit_frames
from videoscene_rt.export.distill.latents import encoded, together
from videoscene_rt.export.distill.run import Models
from videoscene_rt.export.distill.store import Store, Variation

FRAMES = torch.randint(0, 256, (2, 9, 32, 48, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SAME = Variation(
    torch.zeros(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool), torch.arange(3).expand(2, 3), torch.ones(2)
)


def test_a_variation_does_what_it_says_to_each_clip() -> None:
    plain = unit_frames(FRAMES)
    assert torch.equal(SAME.of(FRAMES), plain)
    order = torch.tensor([[0, 1, 2], [2, 0, 1]])
    variation = Variation(torch.tensor([True, False]), torch.tensor([False, True]), order, torch.tensor([1.0, 2.0]))
    varied = variation.of(FRAMES)
    assert torch.equal(varied[0], plain[0].flip(-1))
    assert torch.allclose(varied[1], plain[1].flip(0)[:, [2, 0, 1]] ** 2)


def test_variations_are_drawn_from_the_generator_alone() -> None:
    first, again = (Variation.drawn(64, torch.Generator().manual_seed(3), CPU) for _ in range(2))
    assert torch.equal(first.colours, again.colours)
    assert torch.equal(first.gamma, again.gamma)
    assert bool((first.colours.sort(dim=1).values == torch.arange(3)).all())
    assert 10 < int(first.mirrored.sum()) < 54
    assert torch.equal(first[10:20].gamma, first.gamma[10:20])


def test_latents_are_those_of_the_varied_clips() -> None:
    autoencoder = Models.fresh(TEENY, 0, CPU).autoencoder
    store = Store(torch.stack([FRAMES, FRAMES.flip(1)], dim=1), FRAMES.flip(2), FRAMES.flip(2)[:, [0, -1]])
    variation = Variation.drawn(2, torch.Generator().manual_seed(1), CPU)
    table = together([encoded(autoencoder, store, torch.tensor([i]), variation[i : i + 1]) for i in range(2)])
    assert len(table) == 2
    rows = torch.tensor([1])
    clean, coarse = table.pair(rows, torch.tensor([1]))
    with torch.no_grad():
        varied = variation[1:].of(store.clean[1:])
        assert torch.allclose(clean, encode(autoencoder, varied), atol=5e-3)
        assert torch.allclose(coarse, encode(autoencoder, variation[1:].of(store.coarse[1:, 1])), atol=5e-3)
        # The images change places with the frames when time is reversed: the condition stays first and last.
        ends = [encode(autoencoder, varied[:, [n]]) for n in (0, -1)]
    condition = table.condition(rows)
    assert torch.allclose(condition[:, :1], ends[0], atol=5e-3)
    assert torch.allclose(condition[:, -1:], ends[1], atol=5e-3)
