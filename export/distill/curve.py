"""``python -m videoscene_rt.export.distill.curve LOG.jsonl OUT.svg``: a training run's log as a picture.

Above, the losses of the stages that have one, on a logarithmic scale; below, PSNR on clips that are not trained on; both over the seconds
of the run, with the stages as bands.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from videoscene_rt.engines.errors import InputError, VsrtError

_WIDTH, _PANEL, _GAP, _LEFT, _RIGHT, _TOP = 1000, 220, 46, 72, 190, 46
_COLOURS = ("#0b6e99", "#b3541e", "#4d7c3a", "#7b4fa3", "#9a7b00", "#a13d63")
_LOSSES = {"autoencoder": ("loss",), "denoise": ("loss",), "leap": ("latent", "pixels", "consistency")}
_REGIONS = ("whole", "holes", "outside")


@dataclass(frozen=True)
class Curve:
    """A line: its name and its points (seconds, value), in the order of time."""

    name: str
    points: tuple[tuple[float, float], ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Draw; 0 when it is written, 2 with a line when the log cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.distill.curve", description="Draw a training run's log."
    )
    parser.add_argument("log", type=Path, help="log.jsonl, which train wrote")
    parser.add_argument("out", type=Path, help="the picture to write, SVG")
    told = parser.parse_args(argv)
    try:
        lines = read_log(told.log)
        told.out.write_text(draw(losses(lines), validation(lines), bands(lines)), encoding="utf-8")
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def read_log(path: Path) -> list[dict[str, Any]]:
    """The log's lines.

    Raises:
        InputError: it cannot be read, or a line is no JSON object with "seconds" and "stage".
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a log: {error}") from error
    if not lines or not all(isinstance(line, dict) and {"seconds", "stage"} <= line.keys() for line in lines):
        raise InputError(f"{path} is not the log of a training run")
    return lines


def losses(lines: Iterable[Mapping[str, Any]]) -> list[Curve]:
    """A curve for every loss of every stage that has one, without those that are not above 0."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        for name in _LOSSES.get(line["stage"], ()):
            if name in line and line[name] > 0:
                key = line["stage"] if name == "loss" else f"{line['stage']}: {name}"
                found.setdefault(key, []).append((line["seconds"], line[name]))
    return [Curve(name, tuple(points)) for name, points in found.items()]


def validation(lines: Iterable[Mapping[str, Any]]) -> list[Curve]:
    """PSNR of the autoencoder's reconstruction, and of one step from the middle candidate that is looked at: whole, holes, outside."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        if "validation_psnr" in line:
            found.setdefault("autoencoder, clean clips", []).append((line["seconds"], line["validation_psnr"]))
        looked = sorted((name for name in line if name.startswith("validation_psnr_at_")), key=_candidate)
        if looked:
            middle = looked[len(looked) // 2]
            for region, value in zip(_REGIONS, line[middle], strict=True):
                key = f"one step at {_candidate(middle)}, {region}"
                found.setdefault(key, []).append((line["seconds"], value))
    return [Curve(name, tuple(points)) for name, points in found.items()]


def bands(lines: Iterable[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """Each stage and the seconds at which it began and ended."""
    found: list[tuple[str, float, float]] = []
    before = 0.0
    for line in lines:
        stage, seconds = str(line["stage"]), float(line["seconds"])
        if stage not in ("begin", "end", "paused"):
            begin = found.pop()[1] if found and found[-1][0] == stage else before
            found.append((stage, begin, seconds))
        before = seconds
    return found


def draw(above: Sequence[Curve], below: Sequence[Curve], stages: Sequence[tuple[str, float, float]]) -> str:
    """The picture, as SVG; it can be read on light and on dark ground."""
    end = max((stage[2] for stage in stages), default=1.0)

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / end

    height = _TOP + 2 * _PANEL + _GAP + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fbfaf7"/>',
    ]
    for number, (stage, begin, finish) in enumerate(stages):
        shade = "#efece4" if number % 2 else "#f6f4ee"
        parts.append(
            f'<rect x="{x(begin):.1f}" y="{_TOP}" width="{x(finish) - x(begin):.1f}" height="{2 * _PANEL + _GAP}" fill="{shade}"/>'
        )
        down = 14 + 13 * (number % 2)
        parts.append(f'<text x="{x(begin) + 3:.1f}" y="{down}" fill="#555">{escape(stage)}</text>')
    parts += _panel("loss", above, _TOP, x, logarithmic=True)
    parts += _panel("PSNR, dB", below, _TOP + _PANEL + _GAP, x, logarithmic=False)
    for tick in range(0, int(end) + 1, 60):
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 22}" text-anchor="middle" fill="#555">{tick} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(title: str, curves: Sequence[Curve], top: float, x: Any, *, logarithmic: bool) -> list[str]:
    def scaled(value: float) -> float:
        return math.log10(value) if logarithmic else value

    values = [scaled(value) for curve in curves for _, value in curve.points]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(high - low, 1e-9)

    def y(value: float) -> float:
        return top + _PANEL - _PANEL * (scaled(value) - low) / span

    parts = [f'<text x="{_LEFT - 8}" y="{top - 6}" text-anchor="end" fill="#333">{escape(title)}</text>']
    for level in range(5):
        at = low + span * level / 4
        shown = f"{10**at:.2g}" if logarithmic else f"{at:.1f}"
        height = top + _PANEL - _PANEL * level / 4
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{height:.1f}" y2="{height:.1f}" stroke="#d8d4c8"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end" fill="#555">{shown}</text>')
    for number, curve in enumerate(curves):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{x(seconds):.1f},{y(value):.1f}" for seconds, value in curve.points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [
            f'<circle cx="{x(seconds):.1f}" cy="{y(value):.1f}" r="2.2" fill="{colour}"/>'
            for seconds, value in (curve.points if len(curve.points) < 12 else ())
        ]
        label = top + 12 + 15 * number
        parts.append(f'<text x="{_WIDTH - _RIGHT + 8}" y="{label}" fill="{colour}">{escape(curve.name)}</text>')
    return parts


def _candidate(name: str) -> int:
    """The noise timestep in a name of the log."""
    return int(name.rpartition("_")[2])


if __name__ == "__main__":
    sys.exit(main())
