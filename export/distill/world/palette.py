"""Colours of a scene: a few hues, mostly muted, as linear light."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from videoscene_rt.export.distill.world.material import material

Floats = NDArray[np.float64]

WALLS = ("bricks", "stripes", "marble", "tiles", "speckle", "planks", "photograph", "photograph")
FLOORS = ("planks", "tiles", "checker", "speckle", "marble", "photograph")
THINGS = (
    "plain", "checker", "stripes", "marble", "dots", "writing", "speckle", "planks", "bricks", "gradient", "photograph",
    "photograph", "photograph", "photograph",
)  # fmt: skip
PICTURES = ("photograph", "photograph", "photograph", "writing", "marble", "dots")


class Palette:
    """Draws materials whose colours belong together."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.hue = generator.uniform()
        self.saturation = generator.uniform(0.05, 0.6)

    def colour(self, low: float = 0.15, high: float = 0.9) -> Floats:
        """A colour of the palette as linear light float64[3]; ``low`` and ``high`` bound its brightness."""
        draw = self.generator
        hue = (self.hue + draw.choice((0.0, 0.0, 0.08, 0.5, 0.33)) + draw.normal(0.0, 0.04)) % 1.0
        return _linear(hue, draw.beta(1.2, 2.0) * self.saturation * 1.5, draw.uniform(low, high))

    def material(self, patterns: tuple[str, ...], scale: float, low: float = 0.15, high: float = 0.9) -> Floats:
        """One of the patterns in two colours; ``scale`` in metres a repeat, varied by a factor of up to two."""
        draw = self.generator
        first = self.colour(low, high)
        # The second colour is the first one darkened, brightened or replaced, so that contrast varies from faint to full.
        second = self.colour(0.02, 0.98) if draw.uniform() < 0.6 else first * draw.choice((0.12, 0.3, 0.6, 2.0))
        pattern = patterns[int(draw.integers(len(patterns)))]
        factor = float(np.exp(draw.uniform(-1.2, 0.4)))
        return material(
            pattern,
            first,
            np.clip(second, 0.0, 1.0),
            scale * factor,
            draw,
            grain=float(np.exp(draw.uniform(-1.0, 1.2))),
        )


def _linear(hue: float, saturation: float, value: float) -> Floats:
    rgb = np.array(colorsys.hsv_to_rgb(hue % 1.0, min(saturation, 1.0), min(value, 1.0)))
    linear: Floats = rgb**2.2
    return linear
