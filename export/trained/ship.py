"""``python -m videoscene_rt.export.trained.ship --run DIR --evaluation DIR``: make a training run's weights those of its preset.

Puts the run's checkpoint and a model card into this package's folder of the preset's name, and its digest into shipped.json; with
--records the run's record, log and evaluation into a folder of the documents. For whoever works on a checkout of the project.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.export import trained
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.distill.card import model_card
from videoscene_rt.export.distill.checkpoint_files import PRESET_FILE, read_chain
from videoscene_rt.export.distill.evaluation_table import markdown
from videoscene_rt.export.presets import load_preset, preset_names

MOST_BYTES = 16 << 20
"""Of a preset's folder: it travels in every copy of the repository and in the wheel."""
CARD, RECORD, LOG, EVALUATION = "README.md", "record.json", "log.jsonl", "evaluation.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Ship; 0 when everything is written, 2 or 3 with one or two lines when it cannot be."""
    options = _parser().parse_args(argv)
    try:
        weights = ship(options.run, options.evaluation, options.records)
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    sys.stdout.write(f"{weights.folder}: the weights of preset {weights.preset}, {weights.sha256}\n")
    return 0


def ship(run: Path, evaluation: Path, records: Path | None = None) -> trained.Shipped:
    """Make a run's weights those that come with its preset, in place of those that are there.

    Args:
        run: what train wrote: checkpoint/, record.json, log.jsonl.
        evaluation: what evaluate wrote of that checkpoint: evaluation.json.
        records: folder for copies of the record, the log and the evaluation; None for no copies.

    Raises:
        InputError: the preset is not one of the project's, the evaluation is of other weights, or they take too much room.
    """
    source = run / "checkpoint"
    digest = Checkpoint.open(source).digest()
    preset = load_preset(str(source / PRESET_FILE))
    if preset.name not in preset_names() or preset != load_preset(preset.name):
        raise InputError(f"{source / PRESET_FILE}: {preset.name} is not the project's preset of that name")
    read_chain(source, preset, torch.device("cpu"))  # every file is there and fits
    record, found = _json(run / RECORD), _json(evaluation / EVALUATION)
    if found.get("checkpoint_sha256") != digest:
        raise InputError(f"{evaluation / EVALUATION} is not of {source}", "evaluate that checkpoint")
    folder = trained.FOLDER / preset.name
    temporary = folder.with_name(f".{preset.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    # Without the modes: safetensors writes files that only their owner may read.
    shutil.copytree(source, temporary, copy_function=shutil.copyfile)
    (temporary / CARD).write_text(model_card(record, markdown(found)), encoding="utf-8")
    size = sum(path.stat().st_size for path in temporary.rglob("*") if path.is_file())
    if size > MOST_BYTES:
        shutil.rmtree(temporary)
        raise InputError(
            f"{source} takes {size / 2**20:.1f} MiB, more than {MOST_BYTES >> 20}", "train narrower widths"
        )
    shutil.rmtree(folder, ignore_errors=True)
    temporary.replace(folder)
    table = {**trained.read_table(), preset.name: digest}
    (trained.FOLDER / trained.TABLE).write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if records is not None:
        records.mkdir(parents=True, exist_ok=True)
        for path in (run / RECORD, run / LOG, evaluation / EVALUATION):
            shutil.copyfile(path, records / path.name)
    return trained.Shipped(preset.name, folder, digest)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.trained.ship", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--run", type=Path, required=True, help="folder that train wrote")
    parser.add_argument("--evaluation", type=Path, required=True, help="folder that evaluate wrote")
    parser.add_argument("--records", type=Path, help="folder for record.json, log.jsonl and evaluation.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
