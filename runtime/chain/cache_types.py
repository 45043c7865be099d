"""The types of the caches between chunks, taken from the engines that were loaded: a plan's own are those of the bundle's FP32 graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from videoscene_rt.chain.description import ChainPlan
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import Signature


def typed_as_built(plan: ChainPlan, engines: Mapping[str, Signature]) -> ChainPlan:
    """The same chain with each cache in the type in which its engines write and read it.

    Args:
        plan: of a bundle.
        engines: what they take and give, by graph; caches of graphs that are not there keep their type.

    Raises:
        BackendError: one engine writes a cache in another type than the next one reads.
    """
    caches = {buffer.name for buffer in plan.of_role("cache")}
    found: dict[str, tuple[str, str]] = {}
    for stage in plan.every_stage:
        spec = engines.get(stage.graph)
        types = {} if spec is None else {tensor.name: tensor.dtype for tensor in (*spec.inputs, *spec.outputs)}
        for name, part in stage.bindings.items():
            if part.buffer not in caches or name not in types:
                continue
            dtype, said = found.setdefault(part.buffer, (types[name], f"{name} of {stage.graph} is {types[name]}"))
            if dtype != types[name]:
                raise BackendError(
                    f"the engines of two chunks do not fit together: {said}, {name} of {stage.graph} is {types[name]}",
                    "build both again: vsrt build with --force; or with --precision fp32, where one of them cannot run in FP16",
                )
    buffers = (replace(one, dtype=found[one.name][0]) if one.name in found else one for one in plan.buffers)
    return replace(plan, buffers=tuple(buffers))
