"""A material as one row of numbers, so that a ray can gather the one it meets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PATTERNS = (
    "plain", "checker", "bricks", "planks", "stripes", "marble", "dots", "writing", "gradient", "speckle", "facade",
    "tiles", "photograph",
)  # fmt: skip
"""What a surface can show; a material's first column is the index here."""

PATTERN, FIRST, SECOND, SCALE, GRAIN, OFFSET, PHOTOGRAPH, GLOW = 0, 1, 4, 7, 8, 9, 12, 13
"""Where each part of a row begins: pattern, two linear colours (3 each), metres a repeat, strength of the grain, a shift of
the pattern (3), the number of the photograph, how much of the colour glows by itself."""
COLUMNS = 14

Floats = NDArray[np.float64]


def material(
    pattern: str,
    first: Floats,
    second: Floats,
    scale: float,
    generator: np.random.Generator,
    grain: float = 1.0,
    glow: float = 0.0,
) -> Floats:
    """One material, float64[COLUMNS]; colours are linear light [3]; the shift and the photograph are drawn."""
    row = np.zeros(COLUMNS)
    row[PATTERN] = PATTERNS.index(pattern)
    row[FIRST : FIRST + 3], row[SECOND : SECOND + 3] = first, second
    row[SCALE], row[GRAIN], row[GLOW] = scale, grain, glow
    row[OFFSET : OFFSET + 3] = generator.uniform(0.0, 16.0, 3)
    row[PHOTOGRAPH] = generator.integers(0, 1 << 16)
    return row
