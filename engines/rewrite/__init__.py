"""Exact graph rewrites: the same function in a form that a backend runs faster. Which backend gets which is data, in rewrites.json.

A bundle keeps its graphs as they were traced; a rewrite happens when an engine is derived from one, and the engine's gate compares it with
the graph as it was. ONNX is imported when it is needed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from videoscene_rt.engines.precision.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import onnx_ir as ir

__all__ = ["NotApplicable", "Rewrite", "apply", "can_use_plugin", "holds_for_all", "marks", "rewrites_for"]


class NotApplicable(Exception):  # noqa: N818 - no error: the graph is left as it is
    """Why a graph has not the structure that a rewrite is about. The model may be changed in part: read it again."""


class Rewrite(BaseModel):
    """When a rewrite is done.

    Attributes:
        name: the module of this package that does it.
        version: raised whenever it begins to give another graph; part of an engine's identity.
        graphs: names or patterns; the autoencoders of two bundles may share names, and a graph of another structure is left alone.
        backends: which get it: those on which its gain was measured.
        needs: "plugin": its graph has the plug-in's op, which takes FP16, so it is done where a build was given the plug-in's library,
            and not in FP32.
        timesteps: it holds for the policy's candidate timesteps alone, which are a part of an engine's identity then.
        why: the gain that was measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int
    graphs: tuple[str, ...]
    backends: tuple[str, ...]
    needs: Literal["plugin"] | None = None
    timesteps: bool = False
    why: str


@lru_cache(maxsize=1)
def _table() -> tuple[Rewrite, ...]:
    text = (resources.files(__package__) / "rewrites.json").read_text(encoding="utf-8")
    return tuple(Rewrite.model_validate(item) for item in json.loads(text))


def rewrites_for(graph: str, backend: str, *, plugin: bool = False) -> tuple[Rewrite, ...]:
    """The rewrites of a graph for a backend, in their order; with ``plugin`` those too whose op is in the plug-in."""
    return tuple(
        rewrite
        for rewrite in _table()
        if backend in rewrite.backends
        and any(matches(pattern, graph) for pattern in rewrite.graphs)
        and (plugin or rewrite.needs is None)
    )


def can_use_plugin(graph: str, backend: str, precision: str) -> bool:
    """Whether a graph of this precision of its own is rewritten for the plug-in where a build was given one."""
    return precision != "fp32" and any(one.needs == "plugin" for one in rewrites_for(graph, backend, plugin=True))


def marks(
    graph: str, backend: str, timesteps: Sequence[int], *, plugin: bool = False
) -> list[tuple[str, int, tuple[int, ...]]]:
    """What an engine's identity says of the rewrites of its graph: name, version, and the timesteps that it holds for, if not for all."""
    found = rewrites_for(graph, backend, plugin=plugin)
    return [(one.name, one.version, tuple(timesteps) if one.timesteps else ()) for one in found]


def holds_for_all(graph: str, backend: str) -> bool:
    """Whether an engine of a graph is right for every timestep, and not for the policy's candidates alone."""
    return not any(one.timesteps for one in rewrites_for(graph, backend))


def apply(rewrite: Rewrite, model: ir.Model, kept: Collection[str] = (), timesteps: Sequence[int] = ()) -> str:
    """Rewrite a graph in place.

    Args:
        rewrite: which.
        model: as `precision.source.load_source` reads it.
        kept: names of values that must still be there afterwards, if they are still computed.
        timesteps: the policy's candidates.

    Returns:
        What was done, in a few words.

    Raises:
        NotApplicable: the graph has not the structure, or would lose a value that must be kept.
    """
    from videoscene_rt.engines.rewrite import (
        attention_as_operator,
        attention_as_plugin,
        frames_as_depth,
        repeats_after_convolution,
        subpixel_upsampling,
        timestep_table,
    )

    if rewrite.name == "timestep_table":
        return timestep_table.rewrite(model, timesteps)
    by_name = {
        "frames_as_depth": frames_as_depth.rewrite,
        "attention_as_plugin": attention_as_plugin.rewrite,
        "attention_as_operator": attention_as_operator.rewrite,
        "repeats_after_convolution": repeats_after_convolution.rewrite,
        "subpixel_upsampling": subpixel_upsampling.rewrite,
    }
    return by_name[rewrite.name](model, kept)
