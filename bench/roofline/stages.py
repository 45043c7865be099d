"""The roofline of a bundle's step."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import prod

from videoscene_rt.bench.roofline.facts import StageCounts
from videoscene_rt.bench.roofline.operations import Counts, count_operations
from videoscene_rt.chain.schedule import Placed
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.precision.recipe import graph_precision
from videoscene_rt.engines.specs import GraphSpec

_CLOUD = ("xyz", "rgb")


def stage_counts(bundle: Bundle, placed: Iterable[Placed], precision: str, num_points: int) -> tuple[StageCounts, ...]:
    """Count every stage that is a graph of the bundle.

    Args:
        bundle: whose graphs.
        placed: the stages.
        precision: the ceiling that they run under.
        num_points: how many of the cloud's rows are read.

    Raises:
        InputError: a graph cannot be read.
        BackendError: onnx is not installed.
    """

    @cache
    def counted(graph: str) -> Counts:
        return count_operations(bundle.folder / bundle.graph(graph).file)

    found = []
    for stage in placed:
        if stage.graph not in bundle.manifest.graphs:
            continue  # the watch is a kernel of ours over z_0
        counts = counted(stage.graph)
        found.append(
            StageCounts(
                stage=stage.stage,
                graph=stage.graph,
                precision=graph_precision(stage.graph, precision),
                operations=counts.operations,
                weights=counts.weights,
                io_bytes=counts.io_bytes - unused_bytes(bundle.graph(stage.graph), num_points),
                between_elements=counts.between_elements,
            )
        )
    return tuple(found)


def unused_bytes(spec: GraphSpec, num_points: int) -> int:
    """Bytes of the rows of a cloud's buffers that nobody reads; 0 of a graph without a cloud."""
    rows = [tensor for tensor in spec.inputs if tensor.name in _CLOUD]
    widths = {"float32": 4, "uint8": 1}
    return sum(max(0, tensor.shape[0] - num_points) * prod(tensor.shape[1:]) * widths[tensor.dtype] for tensor in rows)
