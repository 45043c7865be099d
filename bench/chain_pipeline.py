"""What a loaded pipeline is asked for a record: its inputs in every form, its results, its memory and its stages."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from videoscene_rt.bench.chain_facts import ChainFacts, MemoryRow
from videoscene_rt.bench.chain_scene import Arrays, whole_buffers
from videoscene_rt.bench.device_arrays import on_device, page_locked
from videoscene_rt.bench.overlap import StageSpan, overlap
from videoscene_rt.scenes.scene import Scene

RESULTS = ("frames", "coarse", "depth", "hole_mask")


@dataclass(frozen=True)
class Ways:
    """One scene as `Pipeline.step` takes it: itself, and its buffers at the preset's own sizes, in device and in page-locked memory."""

    scene: Scene
    device: dict[str, Any]
    page_locked: dict[str, Any]

    @classmethod
    def of(cls, pipeline: Any, scene: Scene) -> Ways:
        """Every form of a scene; the arrays lie on the pipeline's device."""
        device = pipeline.chain.device
        buffers = whole_buffers(scene, pipeline.preset)
        return cls(
            scene,
            {name: on_device(device, array) for name, array in buffers.items()},
            {name: page_locked(device, array) for name, array in buffers.items()},
        )


def results(result: Any) -> Arrays:
    """A step's results as NumPy arrays of their own."""
    on_host = result.host()
    return {name: getattr(on_host, name).copy() for name in RESULTS}


def once(pipeline: Any, given: Any) -> Arrays:
    """The results of one submitted step, which holds no slot afterwards."""
    with pipeline.submit(given) as handle:
        return results(handle.result())


def fill(pipeline: Any, given: Any) -> None:
    """One step in every slot, so that each holds these inputs and has run."""
    handles = [pipeline.submit(given) for _ in pipeline.chain.slots]
    for handle in handles:
        handle.result()
        handle.release()


def whole_results(pipeline: Any, scene: Scene) -> Arrays:
    """The results of one step, and z_0."""
    return {**results(pipeline.step(scene)), "z_0": pipeline.tensor("z_0")}


def digests(arrays: Arrays) -> dict[str, str]:
    """SHA-256 of each array's bytes."""
    return {name: hashlib.sha256(array.data).hexdigest() for name, array in arrays.items()}


def uploaded(pipeline: Any, ways: Ways) -> dict[str, int]:
    """Bytes that one step copies to the device, by the way its inputs are given, with every slot warm."""
    found = {}
    for name, given in (("scene", ways.scene), ("device", ways.device), ("page-locked", ways.page_locked)):
        for _ in pipeline.chain.slots:
            pipeline.step(given)
        before = pipeline.chain.bytes_uploaded
        pipeline.step(given)
        found[name] = pipeline.chain.bytes_uploaded - before
    return found


def facts_of(pipeline: Any, scene: Scene, timeline_repeats: int) -> ChainFacts:
    """How a pipeline runs and what it holds; its throughput and growth are measured elsewhere."""
    result = pipeline.step(scene)
    arrays = results(result)
    cuda = pipeline.chain.device.kind == "cuda"
    spans = tuple(StageSpan(**asdict(time)) for time in pipeline.timeline(timeline_repeats))
    rows = tuple(MemoryRow(**asdict(region)) for region in pipeline.memory.regions)
    mapped = any(row.role == "result" and row.name in RESULTS and row.place == "mapped" for row in rows)
    return ChainFacts(
        captured=pipeline.captured,
        slots=len(pipeline.chain.slots),
        memory="mapped" if mapped else "copied",
        num_points=scene.num_points,
        timestep=result.timestep,
        arena_bytes=pipeline.memory.nbytes,
        mapped_bytes=pipeline.memory.size("mapped"),
        arena=rows,
        stages=spans,
        timeline_repeats=timeline_repeats,
        overlap=overlap(spans),
        downloaded_bytes=sum(array.nbytes for array in arrays.values()) if cuda and not mapped else 0,
        digests=digests(arrays),
    )
