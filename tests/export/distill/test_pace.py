"""The time of a stage, its learning rate, recipes, and the average of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from videoscene_rt import InputError
from videoscene_rt.export.distill import pace as module
from videoscene_rt.export.distill.optimising import Average, Training
from videoscene_rt.export.distill.pace import Pace, Paused, learning_rate
from videoscene_rt.export.distill.recipe import STAGES, Recipe


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_stage_ends_when_its_time_is_used(clock: list[float]) -> None:
    pace, seen = Pace(10.0), []
    for progress in pace.steps():
        seen.append(progress)
        clock[0] += 2.5
    assert seen == [0.0, 0.25, 0.5, 0.75]
    assert (pace.step, pace.spent, pace.over()) == (4, 10.0, True)


def test_a_stage_ends_after_its_steps_whatever_the_time(clock: list[float]) -> None:
    pace = Pace(10.0, planned=3)
    for _ in pace.steps():
        clock[0] += 100.0
    assert pace.step == 3


def test_a_paused_stage_goes_on_where_it_was(clock: list[float]) -> None:
    pace = Pace(10.0, planned=4)

    def run_until_paused() -> None:
        for _ in pace.steps(deadline=105.0):
            clock[0] += 2.0

    with pytest.raises(Paused):
        run_until_paused()
    assert pace.step == 3
    assert list(pace.steps()) == [0.75]


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate(1.0, progress / 100) for progress in range(101)]
    assert rates.index(max(rates)) == 3
    assert rates[0] < 0.1
    assert rates[-1] == pytest.approx(0.01)


def test_a_recipe_is_read_in_part_or_from_a_record(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"minutes": 2, "seed": 5, "finetune_decoder": false}')
    assert Recipe.read(path) == Recipe(minutes=2.0, seed=5, finetune_decoder=False)
    whole = Recipe(steps=(1, 2, 3, 4, 5, 6))
    path.write_text(json.dumps({"recipe": whole.to_json(), "device": "x"}))
    assert Recipe.read(path) == whole
    assert whole.planned("denoise") == 4
    # A record from before the policy had scenes of its own says how that run was made, not how one is made today.
    old = whole.to_json()
    del old["policy_scenes"]
    path.write_text(json.dumps({"recipe": old}))
    assert Recipe.read(path) == Recipe(steps=(1, 2, 3, 4, 5, 6), policy_scenes=0)
    assert sum(Recipe().budget(stage) for stage in STAGES) == pytest.approx(13 * 60)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "cannot be read as a recipe"),
        ("[]", "a JSON object"),
        ('{"minuets": 2}', "'minuets' is no part of a recipe"),
        ('{"clips": 2.5}', "clips: 2.5 is not a int"),
        ('{"clips": true}', "clips: True is not a int"),
        ('{"shares": [1, 2]}', "shares needs 6 values"),
        ('{"steps": "all"}', "not a list of numbers"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(InputError, match=words.replace("[", r"\[")):
        Recipe.read(tmp_path / "r.json")


def test_the_average_lags_behind_and_training_can_be_taken_up() -> None:
    layer = torch.nn.Linear(3, 3)
    average = Average(layer, 0.5)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1.0)
    average.update(layer)
    moved = (average.module.weight - before).mean()
    assert 0.5 <= float(moved) < 1.0

    def train(training: Training, steps: int) -> None:
        for _ in range(steps):
            training.step((training.module(torch.ones(1, 3)) ** 2).sum(), 0.1)

    torch.manual_seed(0)
    one = Training(torch.nn.Linear(3, 3), 0.1, 0.9)
    train(one, 2)
    state, weights = one.state(), {name: tensor.clone() for name, tensor in one.module.state_dict().items()}
    other = Training(torch.nn.Linear(3, 3), 0.1, 0.9)
    other.module.load_state_dict(weights)
    other.restore(torch.load(_saved(state), weights_only=True))
    train(one, 2)
    train(other, 2)
    assert torch.equal(one.module.weight, other.module.weight)
    one.finish()
    other.finish()
    assert torch.equal(one.module.weight, other.module.weight)


def _saved(state: dict) -> object:
    import io

    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    return stream


def test_a_gradient_that_is_not_finite_does_no_harm() -> None:
    training = Training(torch.nn.Linear(2, 1), 0.1, 0.9)
    training.step(training.module(torch.full((1, 2), float("nan"))).sum(), 0.1)
    assert bool(torch.isfinite(training.module.weight).all())
