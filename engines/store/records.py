"""What the store writes beside an engine, and which engine is in use for what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from videoscene_rt.engines.gates.gate import GateResult
from videoscene_rt.engines.manifest import FileEntry, Sha256

GateStatus = Literal["passed", "accepted", "refused", "not run"]
"""accepted: it failed, and the user took it all the same. Only the first two may be loaded."""

Route = Literal["engine", "source", "kernel", "host"]
"""How a graph is run: by an engine that was derived or built from it; by the bundle's own FP32 graph on the backend; by a CUDA kernel
of ours; by the bundle's own FP32 graph on ONNX Runtime's CPU provider, between two copies, because the backend cannot run it."""

PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
FolderName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}-[0-9a-f]{16}$")]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LayerRecord(_Data):
    """A group of layers: which, in what precision, how many, and why."""

    pattern: str
    precision: str
    count: int
    why: str


class Gated(_Data):
    """The gate's verdict on an engine, and where it ran. An engine is loaded only where it was gated."""

    status: GateStatus
    device: str | None = None
    compute_capability: str | None = None
    driver: str | None = None
    result: GateResult | None = None


class EngineRecord(_Data):
    """record.json: the files of an engine with their digests, its verdict, and how it was made.

    Attributes:
        route: how the graph is run.
        engine: which of the files is loaded; None on the routes "source" and "host", which run the bundle's graph: the identity
            has its digest and that of its weights, and the bundle verifies them.
        plugin: which of the files is the library of an op in the engine's plan, to be loaded first; None for a plan without one.
        files: every file of the folder but this one, with size and SHA-256.
        layers: which groups of layers got which precision, and why.
        half: inputs and outputs that the engine has in FP16 where the graph has FP32: caches.
        scratch_bytes: device memory that a run needs beside its buffers and weights, as the gate found it; 0 before that.
        seconds: what building took; versions: of what built it; messages: the builder's warnings.
        created: UTC, ISO 8601.
    """

    schema_version: Literal[1] = 1
    route: Route = "engine"
    engine: PlainName | None = None
    plugin: PlainName | None = None
    files: dict[PlainName, FileEntry]
    gate: Gated
    layers: tuple[LayerRecord, ...] = ()
    half: tuple[str, ...] = ()
    scratch_bytes: int = Field(default=0, ge=0)
    seconds: float = 0.0
    versions: dict[str, str] = Field(default_factory=dict)
    driver: str | None = None
    messages: tuple[str, ...] = ()
    created: str = ""
    notes: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_file_where_one_is_loaded(self) -> EngineRecord:
        if (self.engine is None) != (self.route in ("source", "host")):
            raise ValueError(f"route {self.route} with the file {self.engine}")
        return self


class Pair(_Data):
    """What runs the graphs for one backend under one ceiling.

    Attributes:
        graphs: graph → folder of its engine; "source" where the backend is the reference and runs the bundle's own FP32 graph.
        chain: the verdict on the whole step.
        engines: graph → `StoredEngine.digest` of the engine that the step ran: a folder's engine may be made again, and a builder that
            times its kernels makes another plan of the same identity. Empty where an earlier version built.
    """

    graphs: dict[str, FolderName | Literal["source"]]
    chain: Gated
    engines: dict[str, Sha256] = Field(default_factory=dict)


class Selected(_Data):
    """selected.json: "<backend>/<ceiling>" → what runs the graphs."""

    schema_version: Literal[1] = 1
    pairs: dict[str, Pair] = Field(default_factory=dict)
