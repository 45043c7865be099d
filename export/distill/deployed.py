"""``python -m videoscene_rt.export.distill.deployed --bundle DIR --out DIR``: what the bundle's engines make of held-out scenes.

The same scenes and figures as `evaluate`, but of the deployed pipeline: a point cloud and two photographs in, through the engines of each
precision. Writes deployed.json and deployed.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from videoscene_rt import Pipeline
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import VsrtError
from videoscene_rt.export.distill.deployed_table import markdown, summary
from videoscene_rt.export.distill.figures import Figures, figures
from videoscene_rt.export.distill.metrics import psnr, squared_error
from videoscene_rt.export.distill.procedural import ProceduralClips
from videoscene_rt.scenes.middlebury import MotorcycleNotFound, motorcycle
from videoscene_rt.scenes.scene import Scene

_AT_ONCE = 4


@dataclass(frozen=True)
class Case:
    """A scene with the frames that are known: ``clean`` uint8[K,H,W,3] is what a camera sees at the frames ``known``."""

    scene: Scene
    clean: Tensor
    known: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """What one precision made of one case.

    Attributes:
        coarse, refined: figures against the clean frames.
        against_reference: PSNR of every refined frame against the first precision's, decibels.
        timestep: the policy's choice.
        frames: the refined frames, uint8[F,H,W,3].
    """

    coarse: Figures
    refined: Figures
    against_reference: float
    timestep: int
    frames: Tensor


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when everything is written, 2 or 3 with one or two lines when it cannot be."""
    options = _parser().parse_args(argv)
    try:
        deployed(options)
    except VsrtError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def deployed(options: argparse.Namespace) -> dict[str, Any]:
    """Run every precision on every case and write what it gave; see `main`."""
    bundle = Bundle.open(options.bundle)
    source = ProceduralClips(bundle.manifest.preset)
    sets = {"held-out scenes": held_out(source, source.held_out_seeds()[: options.scenes])}
    if (stereo := _motorcycle(bundle.manifest.preset.frames, options.bundle)) is not None:
        sets["motorcycle, its two photographs"] = [stereo]
    rows: dict[str, dict[str, list[Row]]] = {name: {} for name in sets}
    versions: dict[str, str] = {}
    for precision in options.precisions.split(","):
        with Pipeline.load(options.bundle, options.backend, precision, seed=options.seed) as pipeline:
            versions = dict(pipeline.versions)
            for name, cases in sets.items():
                reference = next(iter(rows[name].values()), None)
                rows[name][precision] = run_cases(pipeline, cases, reference)
    result = {
        "preset": bundle.manifest.preset.name,
        "bundle_sha256": bundle.digest,
        "backend": options.backend,
        "versions": versions,
        "seed": options.seed,
        "results": {name: summary(found) for name, found in rows.items()},
    }
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    (out / "deployed.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "deployed.md").write_text(markdown(result), encoding="utf-8")
    sys.stdout.write(markdown(result))
    return result


def held_out(source: ProceduralClips, seeds: Sequence[int]) -> list[Case]:
    """Scenes with every frame known; a cloud of more points than the preset takes is thinned."""
    cases: list[Case] = []
    for start in range(0, len(seeds), _AT_ONCE):
        everywhere = tuple(range(source.preset.frames))
        for scene, clean in source.scenes(list(seeds[start : start + _AT_ONCE])):
            cases.append(Case(scene.thinned(source.preset.max_points), clean, everywhere))
    return cases


def run_cases(pipeline: Pipeline, cases: Sequence[Case], reference: Sequence[Row] | None) -> list[Row]:
    """One step of each case.

    Args:
        reference: what the reference made of the same cases; None if this is the reference.
    """
    rows = []
    for number, case in enumerate(cases):
        result = pipeline.step(case.scene).copy()
        frames, coarse, holes = (
            torch.from_numpy(np.asarray(array)) for array in (result.frames, result.coarse, result.hole_mask)
        )
        known = list(case.known)
        first = frames if reference is None else reference[number].frames
        rows.append(
            Row(
                coarse=figures(coarse[known], case.clean, holes[known]),
                refined=figures(frames[known], case.clean, holes[known]),
                against_reference=psnr(float(squared_error(frames, first).mean())),
                timestep=result.step.timestep,
                frames=frames,
            )
        )
    return rows


def _motorcycle(frames: int, bundle: Path) -> Case | None:
    """The Middlebury motorcycle, whose clean picture is known for the first and the last frame; None where it is not at hand."""
    from videoscene_rt.scenes.fit import fit

    preset = Bundle.open(bundle).manifest.preset
    try:
        scene = motorcycle().thinned(preset.max_points)
    except MotorcycleNotFound:
        return None
    return Case(scene, torch.from_numpy(fit(scene, preset.height, preset.width).images), (0, frames - 1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m videoscene_rt.export.distill.deployed", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--bundle", type=Path, required=True, help="with the engines of every precision (vsrt build)")
    parser.add_argument("--out", type=Path, required=True, help="folder for deployed.json and deployed.md")
    parser.add_argument("--backend", default="onnxruntime", help="what runs the engines (default: onnxruntime)")
    parser.add_argument("--precisions", default="fp32,fp16,int8", help="the first is what the others are compared with")
    parser.add_argument("--scenes", type=int, default=64, help="how many held-out scenes (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
