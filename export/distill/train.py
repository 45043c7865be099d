"""``python -m videoscene_rt.export.distill.train --out DIR``: train a tiny autoencoder, a one-step student and its policy.

What comes out (docs/distill.md): DIR/checkpoint, the layout that ``vsrt export --checkpoint`` reads; DIR/log.jsonl; DIR/record.json.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.export.distill.checkpoint_files import write_checkpoint
from videoscene_rt.export.distill.diffusion import Schedule
from videoscene_rt.export.distill.pace import Paused
from videoscene_rt.export.distill.recipe import STAGES, Recipe
from videoscene_rt.export.distill.record import Record
from videoscene_rt.export.distill.repeatable import sum_in_order
from videoscene_rt.export.distill.run import Models, Run
from videoscene_rt.export.distill.sources import open_source
from videoscene_rt.export.distill.stages.autoencoder import train_autoencoder
from videoscene_rt.export.distill.stages.clips import make_clips
from videoscene_rt.export.distill.stages.denoise import train_denoising
from videoscene_rt.export.distill.stages.latents import make_latents
from videoscene_rt.export.distill.stages.leap import train_leap
from videoscene_rt.export.distill.stages.policy import train_policy
from videoscene_rt.export.presets import load_preset

_STAGES: dict[str, Callable[[Run], None]] = {
    "clips": make_clips,
    "autoencoder": train_autoencoder,
    "latents": make_latents,
    "denoise": train_denoising,
    "leap": train_leap,
    "policy": train_policy,
}
_MADE_AGAIN = ("clips", "latents")
"""Their results are not in the state: a run that goes on makes them again, the same ones."""
_IN_ONE_GO = (*_MADE_AGAIN, "policy")
"""These stages do not pause: they begin only where the call has time for them."""
PAUSED = 75
"""Exit code of a run that paused: EX_TEMPFAIL, call again with --resume."""


def main(argv: Sequence[str] | None = None) -> int:
    """Train.

    Returns:
        0 when the checkpoint is written, 75 when the run paused (--pause-after), 2 or 3 with one or two lines when it cannot be.
    """
    options = _parser().parse_args(argv)
    try:
        return train(options)
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code


def train(options: argparse.Namespace) -> int:
    """Run the stages that are not done yet; see `main`."""
    run = begin(options)
    try:
        for stage in STAGES:
            _do(run, stage)
    except Paused:
        run.record.write("paused", finished=run.finished)
        return PAUSED
    finish(run)
    return 0


def _do(run: Run, stage: str) -> None:
    """One stage, if it is not done; what is made again is, as long as anything is left that needs it.

    Raises:
        Paused: the time of this call is over, or too short for a stage that does not pause.
    """
    if stage not in run.finished:
        if stage in _IN_ONE_GO and run.deadline - time.monotonic() < run.pace(stage).seconds:
            raise Paused
        _STAGES[stage](run)
        run.finished.append(stage)
        run.save()
    elif stage in _MADE_AGAIN and run.finished != list(STAGES):
        _STAGES[stage](run)


def begin(options: argparse.Namespace) -> Run:
    """The run of a command line, resumed if it says so."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.deterministic:
        sum_in_order()
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    preset = load_preset(options.preset)
    recipe = Recipe() if options.recipe is None else Recipe.read(options.recipe)
    if options.minutes is not None:
        recipe = replace(recipe, minutes=options.minutes)
    if options.seed is not None:
        recipe = replace(recipe, seed=options.seed)
    folder: Path = options.out
    if (folder / "state.pt").exists() and not options.resume:
        raise InputError(f"{folder} holds a run already", "go on with --resume, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(
        preset=preset,
        recipe=recipe,
        source=open_source(options.data, preset, device),
        device=device,
        folder=folder,
        record=Record(folder / "log.jsonl"),
        models=Models.fresh(preset, recipe.seed, device),
        schedule=Schedule.of(preset, device),
        deadline=math.inf if options.pause_after is None else time.monotonic() + 60.0 * options.pause_after,
        compiled=options.compile,
    )
    if options.resume:
        run.resume()
    run.record.write(
        "begin", preset=preset.name, device=_device_name(device), torch=torch.__version__, resumed=options.resume
    )
    return run


def finish(run: Run) -> None:
    """Write the checkpoint and record.json: the recipe with the steps that were taken, by which the run can be repeated."""
    size = write_checkpoint(run.folder / "checkpoint", run.preset, run.models)
    steps = tuple(run.paces[stage].step for stage in STAGES)
    record = {
        "preset": run.preset.model_dump(mode="json"),
        "recipe": replace(run.recipe, steps=steps).to_json(),
        "seconds": {stage: round(run.paces[stage].spent, 1) for stage in STAGES},
        "weights_bytes": size,
        "parameters": {
            name: sum(parameter.numel() for parameter in getattr(run.models, name).parameters())
            for name in ("transformer", "autoencoder", "policy")
        },
        "device": _device_name(run.device),
        "deterministic": run.device.type == "cpu" or torch.are_deterministic_algorithms_enabled(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    (run.folder / "record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    run.record.write("end", weights_bytes=size, steps=steps)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.distill.train", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: state, log, checkpoint, record")
    parser.add_argument("--preset", default="tiny", help="a preset's name or a JSON file (default: tiny)")
    parser.add_argument(
        "--minutes", type=float, help="time for everything together, over all calls (default: the recipe's 13)"
    )
    parser.add_argument("--pause-after", type=float, metavar="MINUTES", help="end this call then; go on with --resume")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument(
        "--recipe", type=Path, help="a JSON file of recipe fields, or the record.json of a run to repeat"
    )
    parser.add_argument("--seed", type=int, help="of weights, batches and noise (default: the recipe's 0)")
    parser.add_argument(
        "--data", type=Path, help="folder of scene folders with clean frames, instead of procedural scenes"
    )
    parser.add_argument("--device", help="cuda, cuda:1, cpu (default: cuda if there is one)")
    parser.add_argument("--threads", type=int, help="of a CPU run")
    parser.add_argument(
        "--deterministic",
        action="store_true",
        help="on a GPU: slower sums in a fixed order, so that the run can be repeated",
    )
    parser.add_argument(
        "--compile", action="store_true", help="train through torch.compile: a minute to start, faster steps"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
