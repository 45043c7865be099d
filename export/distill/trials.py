"""What is compared in an evaluation: one step by the policy, every constant timestep, more steps, the autoencoder alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from videoscene_rt.export.distill.chain import Chain, Encoded, decoded, encode_clips, logits, refine
from videoscene_rt.export.distill.clips import Clips
from videoscene_rt.export.distill.figures import Figures, figures
from videoscene_rt.export.distill.hues import Hues

STEPS = (1, 4, 16)


@dataclass(frozen=True)
class Trial:
    """One way to make frames of clips; ``make`` takes their latents and gives uint8[B,F,H,W,3]."""

    name: str
    make: Callable[[Encoded], Tensor]


@dataclass(frozen=True)
class Outcome:
    """What the trials gave for the clips of a source.

    Attributes:
        coarse: figures of the coarse frames, one a clip.
        trials: by name, figures one a clip.
        timesteps: what the policy chose, one a clip.
        hues: of the first trial's frames.
    """

    coarse: list[Figures]
    trials: dict[str, list[Figures]]
    timesteps: list[int]
    hues: Hues


def trials(chain: Chain, noise: Tensor, candidates: tuple[int, ...]) -> list[Trial]:
    """All trials of a checkpoint.

    Args:
        chain: its modules.
        noise: ε, float32[1,T,16,h,w].
        candidates: the policy's timesteps.
    """

    def by_policy(steps: int) -> Callable[[Encoded], Tensor]:
        return lambda encoded: refine(chain, encoded, noise, chosen_timesteps(chain, encoded), steps)

    def constant(timestep: int) -> Callable[[Encoded], Tensor]:
        def make(encoded: Encoded) -> Tensor:
            everywhere = torch.full((len(encoded.z_r),), timestep, dtype=torch.int64, device=encoded.z_r.device)
            return refine(chain, encoded, noise, everywhere)

        return make

    several = [Trial(f"policy, {steps} step{'s' * (steps > 1)}", by_policy(steps)) for steps in STEPS]
    constants = [Trial(f"constant {timestep + 1}", constant(timestep)) for timestep in candidates]
    return [*several, *constants, Trial("autoencoder alone", lambda encoded: decoded(chain, encoded.z_r))]


@torch.no_grad()
def chosen_timesteps(chain: Chain, encoded: Encoded) -> Tensor:
    """The policy's choice for each clip, int64[B]."""
    best = logits(chain.policy, encoded.z_r).argmax(dim=1)
    return chain.policy.candidates.to(torch.int64)[best]


def run_trials(
    chain: Chain,
    every: list[Trial],
    clips: Iterator[Clips],
    known: tuple[int, ...] | None = None,
    on_clips: Callable[[Clips, dict[str, Tensor]], None] | None = None,
) -> Outcome:
    """Run all trials on batches of clips.

    Args:
        known: the frames whose clean picture is known; all by default.
        on_clips: told each batch and the frames that each trial made of it.
    """
    outcome = Outcome([], {trial.name: [] for trial in every}, [], Hues())
    for batch in clips:
        encoded = encode_clips(chain, batch)
        made = {trial.name: trial.make(encoded) for trial in every}
        outcome.timesteps.extend(int(t) for t in chosen_timesteps(chain, encoded))
        for row in range(len(batch)):
            frames = slice(None) if known is None else list(known)
            target, holes = batch.clean[row][frames], batch.holes[row][frames]
            outcome.coarse.append(figures(batch.coarse[row][frames], target, holes))
            outcome.hues.add(made[every[0].name][row][frames], target)
            for name, pictures in made.items():
                outcome.trials[name].append(figures(pictures[row][frames], target, holes))
        if on_clips is not None:
            on_clips(batch, made)
    return outcome
