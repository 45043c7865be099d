"""Which scene a number stands for."""

from __future__ import annotations

import numpy as np

from videoscene_rt.export.distill.world.clutter import clutter
from videoscene_rt.export.distill.world.description import Description
from videoscene_rt.export.distill.world.rooms import room
from videoscene_rt.export.distill.world.streets import street

LAYOUTS = (room, street, clutter)
_STREAM = 0x5CE4E


def describe(seed: int) -> Description:
    """The scene of a number: rooms, streets and clutter in turn; the same number gives the same bits on every machine."""
    generator = np.random.Generator(np.random.PCG64([_STREAM, seed]))
    return LAYOUTS[seed % len(LAYOUTS)](generator)
