"""``python -m videoscene_rt.export.distill.policy_again --run DIR --out DIR``: the policy of a run trained again, all else as it is.

For another judgement of the same student: more scenes, other ones (``--data``), another seed. Writes a run of the same layout: checkpoint,
log.jsonl (continued) and record.json, whose "policy_again" says what was done.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.chain import Chain
from videoscene_rt.export.distill.checkpoint_files import PRESET_FILE, read_chain, write_checkpoint
from videoscene_rt.export.distill.diffusion import Schedule
from videoscene_rt.export.distill.recipe import STAGES, Recipe
from videoscene_rt.export.distill.record import Record
from videoscene_rt.export.distill.run import Models, Run
from videoscene_rt.export.distill.sources import open_source
from videoscene_rt.export.distill.stages.policy import train_policy
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder


def main(argv: Sequence[str] | None = None) -> int:
    """Train; 0 when the run is written, 2 or 3 with one or two lines when it cannot be."""
    try:
        again(_parser().parse_args(argv))
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def again(options: argparse.Namespace) -> None:
    """Train the policy of a run again; see `main`."""
    old: Path = options.run
    out: Path = options.out
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    preset = load_preset(str(old / "checkpoint" / PRESET_FILE))
    record = _read(old / "record.json")
    if out.exists():
        raise InputError(f"{out} is there already", "name another folder")
    first = Recipe.read(old / "record.json")
    recipe = replace(
        first,
        steps=(0, 0, 0, 0, 0, options.steps) if options.steps else (),
        minutes=options.minutes,
        shares=(0.0,) * (len(STAGES) - 1) + (1.0,),
        seed=first.seed if options.seed is None else options.seed,
        policy_scenes=options.scenes,
        policy_steps=first.policy_steps if options.policy_steps is None else options.policy_steps,
        policy_states=options.scenes * first.copies,
    )
    out.mkdir(parents=True)
    if (old / "log.jsonl").is_file():
        shutil.copyfile(old / "log.jsonl", out / "log.jsonl")
    run = Run(
        preset=preset,
        recipe=recipe,
        source=open_source(options.data, preset, device),
        device=device,
        folder=out,
        record=Record(out / "log.jsonl"),
        models=_models(read_chain(old / "checkpoint", preset, device), preset, recipe.seed),
        schedule=Schedule.of(preset, device),
        seen=first.steps[0] * first.clips_at_once if first.steps else 0,
    )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    run.record.write("begin", policy_again=True, preset=preset.name, device=name, torch=torch.__version__)
    train_policy(run)
    size = write_checkpoint(out / "checkpoint", preset, run.models)
    pace = run.pace("policy")
    record["weights_bytes"] = size
    record["policy_again"] = {
        "scenes": recipe.policy_scenes,
        "steps": pace.step,
        "policy_steps": recipe.policy_steps,
        "seed": recipe.seed,
        "seconds": round(pace.spent, 1),
        "device": name,
        "torch": torch.__version__,
    }
    (out / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    run.record.write("end", weights_bytes=size)


def _models(chain: Chain, preset: Preset, seed: int) -> Models:
    """The run's models with a policy that knows nothing yet."""
    fresh = Models.fresh(preset, seed, chain.prompt.device).policy
    assert isinstance(chain.autoencoder, TinyAutoencoder)
    return Models(chain.autoencoder, chain.transformer, fresh, chain.prompt)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "name the folder that train wrote") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.distill.policy_again", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that train wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run to write; it must not be there")
    parser.add_argument("--scenes", type=int, default=512, help="that the student never saw (default: 512)")
    parser.add_argument("--minutes", type=float, default=2.0, help="for scenes and rewards (default: 2)")
    parser.add_argument("--steps", type=int, help="groups of 16 states instead of the time, to repeat a run exactly")
    parser.add_argument("--policy-steps", type=int, help="optimiser steps of the policy (default: the run's)")
    parser.add_argument("--seed", type=int, help="of the policy's weights and draws (default: the run's)")
    parser.add_argument(
        "--data", type=Path, help="folder of scene folders with clean frames, instead of procedural scenes"
    )
    parser.add_argument("--device", help="cuda, cuda:1, cpu (default: cuda if there is one)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
