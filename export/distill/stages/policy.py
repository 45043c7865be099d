"""Stage 6: the policy, a contextual bandit whose reward is minus the mean squared error of the decoded frames."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from videoscene_rt.export.distill.autoencoding import decode
from videoscene_rt.export.distill.chain import logits
from videoscene_rt.export.distill.diffusion import predict
from videoscene_rt.export.distill.latents import Latents
from videoscene_rt.export.distill.optimising import descend, optimiser
from videoscene_rt.export.distill.pace import learning_rate
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.stages.unseen import unseen
from videoscene_rt.export.distill.store import Store
from videoscene_rt.export.policy import DDPNet

_AT_ONCE = 16
_HELD_OUT_SHARE = 8
_LOG_EVERY = 50
_ENTROPY = 0.05


@dataclass(frozen=True)
class Rewards:
    """What every candidate gives in S states.

    Attributes:
        states: coarse latents, float16[S,T,16,h,w].
        errors: mean squared error of the decoded frames, float32[S,K].
        scene: which scene each state is of, int64[S].
    """

    states: Tensor
    errors: Tensor
    scene: Tensor

    def held_out(self) -> Tensor:
        """The states of every eighth scene, bool[S]; of too few scenes, the first eighth of the states."""
        held = self.scene % _HELD_OUT_SHARE == 0
        if bool(held.any()) and not bool(held.all()):
            return held
        return torch.arange(len(held), device=held.device) < max(1, len(held) // _HELD_OUT_SHARE)


def train_policy(run: Run) -> None:
    """Policy gradient with all actions.

    A bandit draws one action, sees its reward and follows reward × ∇ ln π. Here the student is frozen and every candidate's reward
    can be computed, so the expectation of that gradient, Σ_a π(a) · (r_a − b) · ∇ ln π(a), is taken exactly: the same direction
    without the variance. The baseline b is the mean over the candidates, and a state's rewards are divided by it, so that states
    count alike; all are then in units of their spread. The states of every eighth scene are not learnt from: they decide which of
    the policies met on the way is kept.
    """
    found = _rewards(run)
    rewards, held = 1.0 - found.errors / found.errors.mean(dim=1, keepdim=True), found.held_out()
    known, known_rewards, states, spread = found.states[held].float(), rewards[held], found.states[~held], rewards.std()
    policy, recipe = run.models.policy, run.recipe
    policy.requires_grad_(True)
    adam = optimiser(policy.parameters(), recipe.policy_rate, decay=1e-2)
    best, kept = -float("inf"), copy.deepcopy(policy.state_dict())
    for step in range(recipe.policy_steps):
        draw = run.draw("policy", 1 + step, run.device)
        rows = torch.randint(len(states), (recipe.policy_batch,), generator=draw, device=run.device)
        chances = torch.softmax(logits(policy, states[rows].float()), dim=1)
        loss = -(chances * rewards[~held][rows]).sum(1).mean() / spread.clamp_min(1e-8)
        # A little entropy at first, or the first candidate that looks good is never left.
        entropy = -(chances * chances.clamp_min(1e-8).log()).sum(1).mean()
        fade = 1.0 - step / recipe.policy_steps
        descend(loss - _ENTROPY * fade * entropy, adam, learning_rate(recipe.policy_rate, step / recipe.policy_steps))
        if step % _LOG_EVERY == _LOG_EVERY - 1 or step == recipe.policy_steps - 1:
            reached = float(known_rewards.gather(1, _chosen(policy, known)[:, None]).mean())
            run.record.write("policy", step=step + 1, loss=loss.item(), held_out_reward=reached)
            if reached > best:
                best, kept = reached, copy.deepcopy(policy.state_dict())
    policy.load_state_dict(kept)
    policy.requires_grad_(False)
    constants, candidates = known_rewards.mean(0), run.preset.policy.candidates
    run.record.write(
        "policy",
        spent=run.pace("policy").spent,
        states=len(rewards),
        held_out_reward=best,
        best_constant_reward=float(constants.max()),
        best_constant=candidates[int(constants.argmax())],
        best_possible_reward=float(known_rewards.amax(1).mean()),
        chosen=torch.bincount(_chosen(policy, known), minlength=len(candidates)).tolist(),
    )


@torch.no_grad()
def _chosen(policy: DDPNet, states: Tensor) -> Tensor:
    """The best candidate's place for each state, int64[S]."""
    return logits(policy, states).argmax(dim=1)


@torch.no_grad()
def _rewards(run: Run) -> Rewards:
    """Every candidate tried in as many states as the stage's time allows; at least one batch is done."""
    started = time.monotonic()
    store, latents = unseen(run)
    run.pace("policy").spent += time.monotonic() - started
    draw = run.draw("policy", 0)
    order = torch.randperm(len(latents), generator=draw)[: run.recipe.policy_states].to(run.device)
    groups = list(order.split(_AT_ONCE))
    tried: list[tuple[Tensor, Tensor]] = []
    for _ in run.pace("policy").steps():
        if len(tried) == len(groups):
            break
        tried.append(_tried(run, store, latents, groups[len(tried)], draw))
        if run.device.type == "cuda":
            torch.cuda.synchronize()  # or the clock would see launches, not work
    states, errors = zip(*tried, strict=True)
    done = torch.cat(groups[: len(tried)])
    return Rewards(torch.cat(states), torch.cat(errors), latents.scene[done])


def _tried(run: Run, store: Store, latents: Latents, rows: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Coarse latents float16[B,T,16,h,w] of examples and the error of each candidate, float32[B,K]; one noise for all."""
    variants = torch.randint(run.recipe.variants, rows.shape, generator=draw).to(run.device)
    _, coarse = latents.pair(rows, variants)
    condition = latents.condition(rows)
    target = latents.variation[rows].of(store.clean[latents.scene[rows]])
    noise = torch.randn(coarse.shape, generator=draw).to(run.device)
    errors = []
    for candidate in run.preset.policy.timesteps:
        timestep = torch.full((len(rows),), candidate, device=run.device)
        x_t = run.schedule.noised(coarse, noise, timestep)
        with run.half():
            z_0 = predict(run.models.transformer, run.schedule, x_t, condition, run.models.prompt, timestep)
            frames = decode(run.models.autoencoder, z_0)
        errors.append((frames.float().clamp(0.0, 1.0) - target).square().mean((1, 2, 3, 4)))
    return coarse.to(torch.float16), torch.stack(errors, dim=1)
