"""Stage 6: the policy, a contextual bandit whose reward is minus the mean squared error of the decoded frames."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from videoscene_rt.export.distill.autoencoding import decode
from videoscene_rt.export.distill.chain import logits
from videoscene_rt.export.distill.diffusion import predict
from videoscene_rt.export.distill.optimising import descend, optimiser
from videoscene_rt.export.distill.pace import learning_rate
from videoscene_rt.export.distill.run import Run

_AT_ONCE = 16
_VALIDATION_SHARE = 8
_LOG_EVERY = 100


def train_policy(run: Run) -> None:
    """Policy gradient with all actions.

    A bandit draws one action, sees its reward and follows reward × ∇ ln π. Here the student is frozen and every candidate's reward
    can be computed, so the expectation of that gradient, Σ_a π(a) · (r_a − b) · ∇ ln π(a), is taken exactly: the same direction
    without the variance. The baseline b is the mean over the candidates, and a state's rewards are divided by it, so that states
    count alike. An eighth of the states decides which of the policies met on the way is kept.
    """
    states, errors = _rewards(run)
    held = len(states) // _VALIDATION_SHARE
    rewards = 1.0 - errors / errors.mean(dim=1, keepdim=True)
    policy, recipe, pace = run.models.policy, run.recipe, run.pace("policy")
    policy.requires_grad_(True)
    adam = optimiser(policy.parameters(), recipe.policy_rate, decay=1e-3)
    best, kept = -float("inf"), copy.deepcopy(policy.state_dict())
    for step in range(recipe.policy_steps):
        draw = run.draw("policy", 1 + step, run.device)
        rows = held + torch.randint(len(states) - held, (recipe.policy_batch,), generator=draw, device=run.device)
        chances = torch.softmax(logits(policy, states[rows].float()), dim=1)
        loss = -(chances * rewards[rows]).sum(1).mean()
        # A little entropy at first, or the first candidate that looks good is never left.
        entropy = -(chances * chances.clamp_min(1e-8).log()).sum(1).mean()
        fade = 1.0 - step / recipe.policy_steps
        descend(loss - 0.01 * fade * entropy, adam, learning_rate(recipe.policy_rate, step / recipe.policy_steps))
        if step % _LOG_EVERY == _LOG_EVERY - 1 or step == recipe.policy_steps - 1:
            with torch.no_grad():
                chosen = logits(policy, states[:held].float()).argmax(1, keepdim=True)
                reached = float(rewards[:held].gather(1, chosen).mean())
            run.record.write("policy", step=step + 1, loss=loss.item(), held_out_reward=reached)
            if reached > best:
                best, kept = reached, copy.deepcopy(policy.state_dict())
    policy.load_state_dict(kept)
    policy.requires_grad_(False)
    constants = rewards[:held].mean(0)
    run.record.write(
        "policy",
        spent=pace.spent,
        held_out_reward=best,
        best_constant_reward=float(constants.max()),
        best_constant=run.preset.policy.candidates[int(constants.argmax())],
        best_possible_reward=float(rewards[:held].amax(1).mean()),
        chosen=_histogram(logits(policy, states[:held].float()).argmax(1), len(run.preset.policy.candidates)),
    )


@torch.no_grad()
def _rewards(run: Run) -> tuple[Tensor, Tensor]:
    """Coarse latents float16[S,T,16,h,w] and the decoded mean squared error of every candidate, float32[S,K].

    Stops early when the stage's time is used; at least one batch is done.
    """
    assert run.latents is not None
    assert run.store is not None
    pace, every = run.pace("policy"), []
    draw = run.draw("policy", 0)
    order = torch.randperm(len(run.latents), generator=draw)[: run.recipe.policy_states].to(run.device)
    candidates = torch.tensor(run.preset.policy.timesteps, device=run.device)
    states: list[Tensor] = []
    groups = list(order.split(_AT_ONCE))
    for _ in pace.steps():
        if len(states) == len(groups):
            break
        rows = groups[len(states)]
        variants = torch.randint(run.recipe.variants, rows.shape, generator=draw).to(run.device)
        _, coarse = run.latents.pair(rows, variants)
        condition = run.latents.condition(rows)
        target = run.latents.variation[rows].of(run.store.clean[run.latents.scene[rows]])
        noise = torch.randn(coarse.shape, generator=draw).to(run.device)
        errors = []
        for candidate in candidates:
            timestep = candidate.expand(len(rows))
            x_t = run.schedule.noised(coarse, noise, timestep)
            with run.half():
                z_0 = predict(run.models.transformer, run.schedule, x_t, condition, run.models.prompt, timestep)
                frames = decode(run.models.autoencoder, z_0)
            errors.append((frames.float().clamp(0.0, 1.0) - target).square().mean((1, 2, 3, 4)))
        every.append(torch.stack(errors, dim=1))
        states.append(coarse.to(torch.float16))
        if run.device.type == "cuda":
            torch.cuda.synchronize()
    return torch.cat(states), torch.cat(every)


def _histogram(chosen: Tensor, count: int) -> list[int]:
    return [int(number) for number in torch.bincount(chosen, minlength=count)]
