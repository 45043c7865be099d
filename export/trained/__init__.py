"""Trained weights that come with the project.

A preset's weights are the folder of its name, in the layout of docs/checkpoint.md, with the model card as README.md. ``shipped.json`` says
which presets have weights and which they are, so that weights that are missing or altered are noticed and never replaced by others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.errors import BackendError

FOLDER = Path(__file__).parent
TABLE = "shipped.json"


@dataclass(frozen=True)
class Shipped:
    """The weights that come with a preset.

    Attributes:
        preset: its name.
        folder: where they should lie.
        sha256: `Checkpoint.digest` of that folder as it was shipped.
    """

    preset: str
    folder: Path
    sha256: str


def shipped(preset: str) -> Shipped | None:
    """The weights that come with a preset; None for one that has none. Whether they are there is seen when they are opened.

    Args:
        preset: a name. A preset from a file is the user's own and has none, whatever it is called.

    Raises:
        BackendError: the table cannot be read.
    """
    digest = read_table().get(preset)
    return None if digest is None else Shipped(preset, FOLDER / preset, digest)


def preset_of(sha256: str) -> str | None:
    """The preset whose weights have this digest, from wherever they were read; None for other weights.

    Raises:
        BackendError: the table cannot be read.
    """
    return next((preset for preset, digest in read_table().items() if digest == sha256), None)


def read_table() -> dict[str, str]:
    """Preset → digest, as shipped.json has it.

    Raises:
        BackendError: it is missing or no such table.
    """
    path = FOLDER / TABLE
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BackendError(f"{path} cannot be read: {error}", "install videoscene-rt again") from error
    if not isinstance(table, dict) or not all(isinstance(digest, str) for digest in table.values()):
        raise BackendError(f"{path} is not a table of presets and digests", "install videoscene-rt again")
    return table
