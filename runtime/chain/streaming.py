"""A clip as the calls of a streaming graph, for graphs that the chain of one step does not call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.activations import Arrays
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import GraphSpec


def stream_inputs(spec: GraphSpec, frames: npt.NDArray[np.uint8], latent: npt.NDArray[np.float32]) -> Iterator[Arrays]:
    """The inputs of each call but for the memory.

    A graph that reads ``frames`` gets the first frame as often as it takes frames (the stream's beginning), then groups of them;
    one that reads ``latent`` gets the latent frames in turn.

    Args:
        spec: the graph's.
        frames: a clip uint8[F,H,W,3]; latent: float32[1,T,16,h,w].

    Raises:
        BackendError: the graph reads something else.
    """
    reads = {tensor.name for tensor in spec.inputs} - set(spec.state.values())
    if reads == {"frames"}:
        group = spec.input("frames").shape[0]
        yield {"frames": np.repeat(frames[:1], group, axis=0)}
        for start in range(1, len(frames) - group + 1, group):
            yield {"frames": frames[start : start + group].copy()}
    elif reads == {"latent"}:
        group = spec.input("latent").shape[1]
        for start in range(0, latent.shape[1] - group + 1, group):
            yield {"latent": latent[:, start : start + group].copy()}
    else:
        raise BackendError(
            f"graph {spec.name} is no part of the chain, and it is not known what to feed it: {sorted(reads)}"
        )
