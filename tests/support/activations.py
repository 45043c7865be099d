"""Real activations for tests: the chain run on ONNX Runtime over procedural rooms, every stage's inputs and outputs kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.description import Slice
from videoscene_rt.engines.activations import Activations, GraphActivations, Sample
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.pipeline import Pipeline
from videoscene_rt.scenes.fit import fit
from videoscene_rt.scenes.room import procedural_room


def record_rooms(bundle: Path, seeds: tuple[int, ...] = (0, 1, 2), threads: int = 1) -> Activations:
    """Run a bundle's chain on one procedural room a seed."""
    graphs: dict[str, list[Sample]] = {}
    with Pipeline.load(bundle, threads=threads) as pipeline:
        preset, chain = pipeline.preset, pipeline._open_chain()
        for seed in seeds:
            scene = procedural_room(
                preset.height, preset.width, seed, points=min(preset.max_points, 2 * preset.height * preset.width)
            )
            pipeline._draw(seed)
            pipeline._upload(chain, fit(scene, preset.height, preset.width))
            for stage, (_, context) in zip(chain.plan.stages, chain._contexts, strict=True):
                inputs = {name: _read(chain, part) for name, part in stage.inputs.items()}
                context.enqueue()
                outputs = {name: _read(chain, part) for name, part in stage.outputs.items()}
                graphs.setdefault(stage.graph, []).append(Sample(f"room-{seed}", inputs, outputs))
    found = {name: GraphActivations(name, tuple(samples)) for name, samples in graphs.items()}
    return Activations(found, text_sha256(map(str, seeds)), tuple(f"room-{seed}" for seed in seeds))


def _read(chain: Chain, part: Slice) -> npt.NDArray[Any]:
    return chain.read(part.buffer)[part.index].copy()
