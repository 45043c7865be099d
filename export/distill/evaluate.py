"""``python -m videoscene_rt.export.distill.evaluate --checkpoint DIR --out DIR``: what a trained checkpoint is worth.

On held-out scenes and, where it is at hand, on the Middlebury motorcycle: refined against coarse, one step against 4 and 16, the
policy against every constant timestep. Writes evaluation.json, evaluation.md, contact sheets and, where the run's record.json lies
beside the checkpoint, model_card.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoscene_rt.engines.errors import VsrtError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.distill.card import model_card
from videoscene_rt.export.distill.chain import Chain, deployed_noise
from videoscene_rt.export.distill.checkpoint_files import PRESET_FILE, read_chain
from videoscene_rt.export.distill.clips import Clips, ClipSource
from videoscene_rt.export.distill.evaluation_table import markdown, summary
from videoscene_rt.export.distill.scene_folders import rendered
from videoscene_rt.export.distill.sources import open_source
from videoscene_rt.export.distill.trials import Outcome, Trial, run_trials, trials
from videoscene_rt.export.presets import load_preset
from videoscene_rt.pictures.contact_sheet import contact_sheet, write_contact_sheet
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.middlebury import MotorcycleNotFound, motorcycle

_AT_ONCE = {"cpu": 2, "cuda": 16}
_SHEETS = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate; 0 when everything is written, 2 or 3 with one or two lines when it cannot be."""
    options = _parser().parse_args(argv)
    try:
        evaluate(options)
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Run the trials and write what they gave; see `main`."""
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    preset = load_preset(options.preset or str(options.checkpoint / PRESET_FILE))
    chain = read_chain(options.checkpoint, preset, device)
    every = trials(chain, deployed_noise(preset, options.seed, device), preset.policy.timesteps)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)

    source = open_source(options.data, preset, device)
    seeds = source.held_out_seeds()[: options.scenes]
    sheets = _Sheets(out, "held-out", _SHEETS)
    at_once = _AT_ONCE.get(device.type, 4)
    outcomes = {"held-out scenes": run_trials(chain, every, _batches(source, seeds, at_once), on_clips=sheets.take)}
    if (stereo := _motorcycle(chain, every, preset, device, out)) is not None:
        outcomes["motorcycle, its two photographs"] = stereo
    result = {
        "preset": preset.name,
        "checkpoint_sha256": Checkpoint.open(options.checkpoint).digest(),
        "seed": options.seed,
        "scenes": len(seeds),
        "results": {name: summary(outcome, preset) for name, outcome in outcomes.items()},
    }
    (out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "evaluation.md").write_text(markdown(result), encoding="utf-8")
    record = options.checkpoint.parent / "record.json"
    if record.is_file():
        card = model_card(json.loads(record.read_bytes()), markdown(result))
        (out / "model_card.md").write_text(card, encoding="utf-8")
    sys.stdout.write(markdown(result))
    return result


def _batches(source: ClipSource, seeds: Sequence[int], at_once: int) -> Iterator[Clips]:
    for start in range(0, len(seeds), at_once):
        yield source.clips(list(seeds[start : start + at_once]))


def _motorcycle(chain: Chain, every: list[Trial], preset: Preset, device: torch.device, out: Path) -> Outcome | None:
    """The motorcycle's outcome: its clean picture is known for the first and the last frame; None where it is not at hand."""
    try:
        fitted = fit(motorcycle().thinned(preset.max_points), preset.height, preset.width)
    except MotorcycleNotFound:
        return None
    coarse, holes = rendered(fitted, preset, device)
    images = torch.from_numpy(fitted.images).to(device)
    clean = coarse.clone()
    clean[0], clean[-1] = images[0], images[1]
    clips = Clips(coarse[None], holes[None], clean[None], images[None])
    sheets = _Sheets(out, "motorcycle", 1)
    return run_trials(chain, every, iter([clips]), known=(0, preset.frames - 1), on_clips=sheets.take)


class _Sheets:
    """Writes contact sheets of the first few clips, as the policy's one step refines them."""

    def __init__(self, folder: Path, name: str, most: int) -> None:
        self.folder, self.name, self.left, self.number = folder, name, most, 0

    def take(self, clips: Clips, made: dict[str, Tensor]) -> None:
        """See `run_trials`."""
        refined = next(iter(made.values()))
        for row in range(len(clips)):
            if self.number == self.left:
                return
            pictures = (clips.coarse[row], refined[row], clips.images[row, 0], clips.images[row, 1], clips.holes[row])
            coarse, frames, first, last, holes = (np.ascontiguousarray(part.cpu().numpy()) for part in pictures)
            sheet = contact_sheet(coarse, frames, first, last, holes, title=f"{self.name} {self.number}")
            write_contact_sheet(self.folder / f"{self.name}-{self.number:02d}.png", sheet)
            self.number += 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.distill.evaluate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="folder that train wrote (DIR/checkpoint)")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for evaluation.json, evaluation.md and pictures"
    )
    parser.add_argument("--preset", help="a preset's name or a JSON file (default: the checkpoint's preset.json)")
    parser.add_argument("--scenes", type=int, default=64, help="how many held-out scenes (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the deployed noise (default: 0)")
    parser.add_argument(
        "--data", type=Path, help="folder of scene folders with clean frames, instead of procedural scenes"
    )
    parser.add_argument("--device", help="cuda, cuda:1, cpu (default: cuda if there is one)")
    parser.add_argument("--threads", type=int, help="of a CPU run")
    return parser


if __name__ == "__main__":
    sys.exit(main())
