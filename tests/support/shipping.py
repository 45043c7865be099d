"""A small checkpoint in place of the trained weights that come with the preset tiny."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.presets import SMALL
from videoscene_rt.export import presets, trained
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.distill.checkpoint_files import write_checkpoint
from videoscene_rt.export.distill.run import Models
from videoscene_rt.export.trained import Shipped


def small_checkpoint(folder: Path, seed: int = 1) -> str:
    """A checkpoint of the preset `SMALL` as training writes it, untrained; gives its digest."""
    write_checkpoint(folder, SMALL, Models.fresh(SMALL, seed, torch.device("cpu")))
    return Checkpoint.open(folder).digest()


def ship_small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Shipped:
    """Until the test is over, tiny has the sizes of `SMALL`, and comes with such a checkpoint in ``folder``."""
    folder.mkdir()
    digest = small_checkpoint(folder / "tiny")
    (folder / trained.TABLE).write_text(json.dumps({"tiny": digest}))
    monkeypatch.setattr(trained, "FOLDER", folder)
    real = presets.load_preset
    monkeypatch.setattr(presets, "load_preset", lambda name: SMALL if name == "tiny" else real(name))
    return Shipped("tiny", folder / "tiny", digest)


def ship_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test is over, no preset comes with weights."""
    folder.mkdir()
    (folder / trained.TABLE).write_text("{}")
    monkeypatch.setattr(trained, "FOLDER", folder)
