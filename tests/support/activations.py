"""Real activations for tests: the chain run on ONNX Runtime over procedural rooms, every call's inputs and outputs kept."""

from __future__ import annotations

from pathlib import Path

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.noise import draw_noise
from videoscene_rt.chain.observed import ObservedBackend
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.engines.activations import Activations, GraphActivations, Sample
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.scenes.room import procedural_room


def record_rooms(bundle: Path, seeds: tuple[int, ...] = (0, 1, 2), threads: int = 1) -> Activations:
    """Run a bundle's chain on one procedural room a seed."""
    opened = Bundle.open(bundle)
    preset = opened.manifest.preset
    backend = ObservedBackend(OnnxRuntimeBackend(threads))
    chain = Chain(plan_chain(opened.manifest), opened, backend)
    chain.write("prompt", opened.prompt())
    graphs: dict[str, list[Sample]] = {}
    for seed in seeds:
        points = min(preset.max_points, 2 * preset.height * preset.width)
        scene = procedural_room(preset.height, preset.width, seed, points=points)
        for name, array in {**scene_inputs(scene, preset), **draw_noise(preset, seed)}.items():
            chain.write(name, array)
        chain.run()
        for call in backend.take():
            graphs.setdefault(call.graph, []).append(Sample(f"room-{seed}", call.inputs, call.outputs))
    found = {name: GraphActivations(name, tuple(samples)) for name, samples in graphs.items()}
    return Activations(found, text_sha256(map(str, seeds)), tuple(f"room-{seed}" for seed in seeds))
