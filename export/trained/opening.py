"""Opening the weights that come with a preset: the very ones that were shipped, or an error."""

from __future__ import annotations

from pathlib import Path

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.trained import Shipped, shipped

_REMEDY = "install videoscene-rt again, or export with --checkpoint DIR, or with --seed 0 for untrained weights"


def shipped_folder(preset: str) -> Path | None:
    """The folder of the weights that come with a preset, its digest verified; None for a preset that has none.

    Raises:
        BackendError: see `shipped` and `open_shipped`.
    """
    weights = shipped(preset)
    return None if weights is None else open_shipped(weights).folder


def open_shipped(weights: Shipped) -> Checkpoint:
    """The checkpoint, its digest verified.

    Raises:
        BackendError: it is missing, cannot be read, or is not as it was shipped.
    """
    if not weights.folder.is_dir():
        raise BackendError(
            f"the weights of preset {weights.preset} are missing: {weights.folder} is not there", _REMEDY
        )
    checkpoint = Checkpoint.open(weights.folder)
    try:
        found = checkpoint.digest()
    except OSError as error:
        raise BackendError(f"the weights of preset {weights.preset} cannot be read: {error}", _REMEDY) from error
    if found != weights.sha256:
        raise BackendError(
            f"the weights of preset {weights.preset} are damaged: {weights.folder} has the SHA-256 {found[:12]}…, "
            f"not {weights.sha256[:12]}… as it was shipped",
            _REMEDY,
        )
    return checkpoint
