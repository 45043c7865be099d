"""Training: the loss falls, a run can be repeated and resumed, and what comes out is exported and runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.export.distill.presets import CPU, QUICK, TEENY, quick_run
from tests.support.scenes import scene
from videoscene_rt import Pipeline
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.distill import pace, train
from videoscene_rt.export.distill.chain import deployed_noise, encode_clips, logits, refine
from videoscene_rt.export.distill.checkpoint_files import read_chain
from videoscene_rt.export.distill.clips import Clips
from videoscene_rt.export.distill.evaluate import main as evaluate
from videoscene_rt.export.distill.procedural import ProceduralClips
from videoscene_rt.export.distill.recipe import STAGES, Recipe
from videoscene_rt.export.distill.run import Run
from videoscene_rt.export.distill.scene_folders import rendered
from videoscene_rt.export.distill.stages import autoencoder, denoise, leap, policy
from videoscene_rt.export.distill.stages.clips import make_clips
from videoscene_rt.export.distill.stages.latents import make_latents
from videoscene_rt.export.distill.stages.matching import matched_timesteps
from videoscene_rt.export.presets import load_preset
from videoscene_rt.scenes.fit import fit

WEIGHTS = (
    "transformer/diffusion_pytorch_model.safetensors", "tiny_autoencoder.safetensors", "policy.safetensors",
    "prompt_embeds.safetensors",
)  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A preset and a recipe as files."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "teeny.json").write_text(TEENY.model_dump_json())
    (folder / "quick.json").write_text(json.dumps(QUICK.to_json()))
    return folder / "teeny.json", folder / "quick.json"


@pytest.fixture(scope="module", autouse=True)
def same_clips_once() -> Iterator[None]:
    """Clips that several tests ask for are made once."""
    patch = pytest.MonkeyPatch()
    for name in ("variants", "clips"):
        make = getattr(ProceduralClips, name)
        patch.setattr(ProceduralClips, name, _remembering(make))
    yield
    patch.undo()


def _remembering(make: Callable[..., Any]) -> Callable[..., Any]:
    made: dict[Any, Any] = {}

    def remembered(self: ProceduralClips, seeds: list[int], *more: int) -> Any:
        key = (self.preset, tuple(seeds), *more)
        if key not in made:
            made[key] = make(self, seeds, *more)
        return made[key]

    return remembered


def command(folder: Path, inputs: tuple[Path, Path], *more: str) -> list[str]:
    return ["--out", str(folder), "--preset", str(inputs[0]), "--recipe", str(inputs[1]), "--device", "cpu", *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, inputs: tuple[Path, Path]) -> Path:
    """The folder of a run that was trained in one go, by the command line."""
    folder = tmp_path_factory.mktemp("run") / "run"
    assert train.main(command(folder, inputs)) == 0
    return folder


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same_weights(first: Path, second: Path) -> bool:
    pairs = [(load_file(first / name), load_file(second / name)) for name in WEIGHTS]
    return all(torch.equal(a[key], b[key]) for a, b in pairs for key in a)


def test_a_run_leaves_a_log_a_record_and_a_checkpoint(finished: Path) -> None:
    lines = log(finished)
    assert lines[0]["stage"] == "begin"
    assert lines[-1]["stage"] == "end"
    assert {line["stage"] for line in lines} >= set(STAGES)
    record = json.loads((finished / "record.json").read_text())
    assert record["recipe"]["steps"] == [2, 4, 2, 4, 3, 1]
    assert record["deterministic"] is True  # as every run on a CPU
    assert record["weights_bytes"] == sum((finished / "checkpoint" / name).stat().st_size for name in WEIGHTS)
    assert Recipe.read(finished / "record.json") == QUICK
    assert load_preset(str(finished / "checkpoint" / "preset.json")) == TEENY


def cut_off_after_two_steps(patch: pytest.MonkeyPatch, stage: str) -> None:
    """Make the next run's stage pause before its third step, as if its time were over."""
    runs: list[Run] = []
    begin, whole = train.begin, pace.Pace.steps

    def remembered(options: argparse.Namespace) -> Run:
        runs.append(begin(options))
        return runs[-1]

    def steps(self: pace.Pace, deadline: float = np.inf) -> Iterator[float]:
        for number, progress in enumerate(whole(self, deadline)):
            if self is runs[-1].paces.get(stage) and number == 2:
                raise pace.Paused
            yield progress

    patch.setattr(train, "begin", remembered)
    patch.setattr(pace.Pace, "steps", steps)


def test_a_run_that_pauses_goes_on_to_the_same_weights(
    finished: Path, inputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off in the middle of two stages; every resumption makes the clips again and takes the optimiser up."""
    folder, arguments, codes = tmp_path / "run", command(tmp_path / "run", inputs, "--pause-after", "60"), []
    for cut in ("autoencoder", "leap"):
        with monkeypatch.context() as patch:
            cut_off_after_two_steps(patch, cut)
            codes.append(train.main(arguments + (["--resume"] if codes else [])))
    assert codes == [train.PAUSED] * 2
    assert train.main([*arguments, "--resume"]) == 0
    assert same_weights(finished / "checkpoint", folder / "checkpoint")


def test_the_same_record_gives_the_same_weights_and_another_seed_others(
    finished: Path, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    again = command(tmp_path / "again", (inputs[0], finished / "record.json"))
    assert train.main(again) == 0
    assert same_weights(finished / "checkpoint", tmp_path / "again" / "checkpoint")


def test_a_run_is_neither_overwritten_nor_resumed_as_another(
    finished: Path, inputs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(command(finished, inputs)) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert train.main(command(finished, inputs, "--seed", "4", "--resume")) == 2
    assert "of another preset or recipe" in capsys.readouterr().err
    assert train.main(command(tmp_path / "none", inputs, "--resume")) == 2
    assert "has no state to resume" in capsys.readouterr().err
    assert train.main(["--out", str(tmp_path / "x"), "--preset", "videoscene-5b", "--device", "cpu"]) == 2
    assert "has the published autoencoder" in capsys.readouterr().err


@pytest.mark.slow
def test_the_checkpoint_is_exported_and_its_chain_runs(finished: Path, tmp_path: Path) -> None:
    """`vsrt export --checkpoint`, then a step; its refined frames are those of the training's own chain."""
    export_bundle(ExportRequest(TEENY, tmp_path / "t.bundle", finished / "checkpoint"))
    one = scene()
    with Pipeline.load(tmp_path / "t.bundle", backend="onnxruntime", precision="fp32", seed=0) as pipeline:
        frames = np.array(pipeline.step(one).frames)
    chain = read_chain(finished / "checkpoint", TEENY, CPU)
    fitted = fit(one, TEENY.height, TEENY.width)
    coarse, holes = rendered(fitted, TEENY, CPU)
    clips = Clips(coarse[None], holes[None], coarse[None], torch.from_numpy(fitted.images)[None])
    encoded = encode_clips(chain, clips)
    chosen = chain.policy.candidates.to(torch.int64)[logits(chain.policy, encoded.z_r).argmax(1)]
    expected = refine(chain, encoded, deployed_noise(TEENY, 0, CPU), chosen)[0].numpy()
    difference = np.abs(frames.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_an_evaluation_has_every_comparison(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VSRT_DATA", raising=False)
    monkeypatch.setattr("videoscene_rt.export.distill.evaluate.motorcycle", _no_motorcycle)
    out = tmp_path / "e"
    arguments = ["--checkpoint", str(finished / "checkpoint"), "--out", str(out), "--scenes", "2", "--device", "cpu"]
    assert evaluate(arguments) == 0
    evaluation = json.loads((out / "evaluation.json").read_text())
    assert evaluation["checkpoint_sha256"] == Checkpoint.open(finished / "checkpoint").digest()
    part = evaluation["results"]["held-out scenes"]
    assert set(part["trials"]) == {
        "policy, 1 step", "policy, 4 steps", "policy, 16 steps", "constant 100", "constant 500", "constant 900",
        "autoencoder alone",
    }  # fmt: skip
    assert len(part["each_clip"]) == sum(part["chosen"].values()) == 2
    refined, coarse = part["trials"]["policy, 1 step"]["psnr"], part["coarse"]["psnr"]
    assert part["gain_in_holes_db"] == pytest.approx(refined["holes"] - coarse["holes"], abs=1e-3)
    table = (out / "evaluation.md").read_text()
    assert f"| policy, 1 step | {refined['whole']:.2f} | {refined['holes']:.2f} |" in table
    assert "float16" in (out / "model_card.md").read_text()
    assert sorted(path.name for path in out.glob("*.png")) == ["held-out-00.png", "held-out-01.png"]
    assert evaluate(["--checkpoint", str(tmp_path), "--out", str(out)]) == 2


def _no_motorcycle() -> None:
    from videoscene_rt.scenes.middlebury import MotorcycleNotFound

    raise MotorcycleNotFound("not here")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with clips and latents, and nothing trained."""
    recipe = replace(QUICK, steps=(2, 40, 2, 60, 25, 1), autoencoder_rate=5e-4, denoise_rate=2e-3, average=0.9)
    run = quick_run(tmp_path_factory.mktemp("stages") / "run", recipe)
    make_clips(run)
    run.finished.append("clips")
    make_latents(run)
    run.finished.append("latents")
    return run


def losses(run: Run, stage: str, name: str = "loss") -> list[float]:
    return [line[name] for line in log(run.folder) if line["stage"] == stage and name in line]


def test_on_a_fixed_batch_every_stages_loss_falls(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run = prepared
    for module in (autoencoder, denoise, leap):
        monkeypatch.setattr(module, "_LOG_EVERY", 1)
    step_0 = autoencoder._batch(run, 0)
    monkeypatch.setattr(autoencoder, "_batch", lambda run, step: step_0)
    autoencoder.train_autoencoder(run)
    found = losses(run, "autoencoder")
    assert found[0] < 0.2  # it begins as a codec of mean colours; `tiny` without that began at 1.19
    assert found[-1] < 0.85 * found[0]
    assert max(found) < 1.2 * found[0]  # and the first steps do not undo it
    make_latents(run)

    # The same rows, timesteps and noise in every step.
    monkeypatch.setattr(Run, "draw", lambda self, stage, part, device="cpu": torch.Generator().manual_seed(0))
    denoise.train_denoising(run)
    assert losses(run, "denoise")[-1] < 0.7 * losses(run, "denoise")[0]
    leap.train_leap(run)
    total = [sum(parts) for parts in zip(losses(run, "leap", "latent"), losses(run, "leap", "pixels"), strict=True)]
    assert total[-1] < 0.95 * total[0]


def test_a_leap_starts_where_the_noise_covers_the_error(prepared: Run) -> None:
    recipe = replace(QUICK, match_ratio=2.0, match_width=0.3, match_floor=0.0)
    run = replace(prepared, recipe=recipe, preset=load_preset("tiny"))
    clean = torch.zeros(400, 3, 16, 4, 6)
    sigma = run.schedule.noise_to_signal()
    draw = torch.Generator().manual_seed(0)
    for t in (99, 299, 599):
        chosen = matched_timesteps(run, clean, clean + sigma[t] / 2.0, draw)
        values, counts = chosen.unique(return_counts=True)
        assert int(values[counts.argmax()]) == t
    everywhere = replace(run, recipe=replace(recipe, match_floor=1.0))
    assert len(matched_timesteps(everywhere, clean, clean + 0.2, draw).unique()) == 9


def test_the_policy_finds_what_each_state_needs(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds of states, each with its own best candidate: better than any constant, and nearly always right."""
    draw = torch.Generator().manual_seed(0)
    kinds = torch.arange(240) % 2
    states = torch.randn(240, *TEENY.latent_shape[1:], generator=draw)
    states[:, :, 3] += 2.0 * kinds.view(-1, 1, 1, 1).float()
    errors = 0.01 * torch.tensor([[1.0, 1.1, 1.2], [1.2, 1.1, 1.0]])[kinds]
    monkeypatch.setattr(policy, "_rewards", lambda run: policy.Rewards(states.half(), errors, torch.arange(240) // 2))
    recipe = replace(QUICK, policy_steps=150, policy_batch=64, policy_rate=3e-3)
    run = replace(prepared, recipe=recipe, paces={})
    policy.train_policy(run)
    chosen = logits(run.models.policy, states).argmax(1)
    assert float((chosen == torch.where(kinds == 1, 2, 0)).float().mean()) > 0.97
    last = [line for line in log(run.folder) if line["stage"] == "policy"][-1]
    assert last["held_out_reward"] > last["best_constant_reward"]
    assert last["held_out_reward"] == pytest.approx(last["best_possible_reward"], rel=0.1)
