"""Work on streams captured into one CUDA graph, and its launch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from videoscene_rt.engines.cuda.errors import first_line
from videoscene_rt.engines.errors import BackendError

if TYPE_CHECKING:
    from videoscene_rt.engines.cuda.streams import CudaStream
    from videoscene_rt.engines.device import GraphForm


def capture(stream: CudaStream, enqueue: Callable[[], None], form: GraphForm = "plain") -> Callable[[CudaStream], None]:
    """See `Device.capture`. Other threads may go on allocating meanwhile: the mode is thread-local.

    Raises:
        BackendError: something in it cannot be captured, or not in that form; the streams are as before.
    """
    builder = stream.raw.create_graph_builder()
    try:
        builder.begin_building(mode="thread_local")
        enqueue()
        ended = builder.end_building()
        graph = ended.complete() if form == "plain" else ended.complete(_for_device_launches())
        graph.upload(stream.raw)
        stream.synchronize()
    except Exception as error:  # cuda.core's exceptions share no public base class
        with suppress(Exception):  # an invalid capture says so once more when it is ended
            builder.end_building()
        raise BackendError(f"the work cannot be captured into a CUDA graph: {first_line(error)}") from error

    def launch(onto: CudaStream) -> None:
        graph.launch(onto.raw)

    return launch


def _for_device_launches() -> Any:
    """The options of such a graph; a cuda-core that knows none raises ImportError."""
    from cuda.core.graph import GraphCompleteOptions

    return GraphCompleteOptions(device_launch=True)
