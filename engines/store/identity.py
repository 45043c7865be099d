"""Who an engine is: everything that made it what it is. Two engines with the same identity may stand for each other; no others may."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.manifest import Sha256
from videoscene_rt.engines.specs import GraphSpec

_SHORT = 12
_WORDS = {
    "graph_sha256": "graph and weights",
    "specs_sha256": "shapes",
    "recipe_sha256": "precision recipe",
    "calibration_sha256": "calibration scenes",
    "backend_version": "version",
    "device": "gpu",
    "compute_capability": "compute capability",
    "plugin_sha256": "plug-in",
    "workspace_mib": "workspace",
    "schema_version": "schema",
}

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


@dataclass(frozen=True)
class Difference:
    """One field in which two identities differ: ``built`` is the engine's, ``here`` is what is wanted."""

    field: str
    built: str
    here: str

    def __str__(self) -> str:
        return f"{_WORDS.get(self.field, self.field)}: built for {self.built}, here is {self.here}"


class EngineIdentity(BaseModel):
    """What an engine was made from, by what, and for what.

    Attributes:
        graph: its name in the bundle.
        graph_sha256: over the ONNX file and the weight files it refers to; specs_sha256: over its inputs, outputs and state.
        precision: its own, which a ceiling and the recipe gave it; recipe_sha256: of that recipe.
        calibration_sha256: of the scenes and seeds that scales and the overflow scan come from; None for FP32.
        backend, backend_version: exactly.
        device, compute_capability: "cpu" and None, or the GPU; "any" and None where engines are not built for one GPU.
        workspace_mib, level: the builder's; None for its default.
        plugin_sha256: of the plug-in's library that the graph was rewritten for; None for a graph that is built without.
        attempt: with which of its fall-backs the builder came through. Kept here, never compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    graph: Name
    graph_sha256: Sha256
    specs_sha256: Sha256
    precision: str
    recipe_sha256: Sha256
    calibration_sha256: Sha256 | None
    backend: str
    backend_version: str
    device: str
    compute_capability: str | None
    workspace_mib: int | None = None
    level: int | None = None
    plugin_sha256: Sha256 | None = None
    attempt: dict[str, Any] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over every field that is compared; without a plug-in as it was before there was one."""
        fields = self._compared()
        if self.plugin_sha256 is None:
            del fields["plugin_sha256"]
        return text_sha256([json.dumps(fields, sort_keys=True)])

    @property
    def folder(self) -> str:
        """Name of its folder in the store."""
        return f"{self.graph}-{self.digest[:16]}"

    def differences(self, wanted: EngineIdentity) -> tuple[Difference, ...]:
        """Where this engine is not the wanted one; digests are shortened to 12 digits."""
        here = wanted._compared()
        return tuple(
            Difference(field, _shown(field, value), _shown(field, here[field]))
            for field, value in self._compared().items()
            if value != here[field]
        )

    def _compared(self) -> dict[str, Any]:
        return self.model_dump(exclude={"attempt"})


def graph_sha256(bundle: Bundle, graph: str) -> str:
    """Digest over a graph's ONNX file and every file of the bundle that it refers to, by the manifest's digests.

    An ONNX file spells the names of its external data in plain bytes, so a file whose name does not occur is not one of them.
    """
    spec = bundle.graph(graph)
    files = bundle.manifest.files
    text = (bundle.folder / spec.file).read_bytes()
    named = [name for name in files if name != spec.file and name.encode() in text]
    return text_sha256([files[spec.file].sha256, *(f"{files[name].sha256} {name}" for name in sorted(named))])


def specs_sha256(spec: GraphSpec) -> str:
    """Digest over a graph's inputs, outputs and state; what they mean and their parity are left out."""
    tensors = [f"{tensor}" for tensor in (*spec.inputs, *spec.outputs)]
    state = [f"{output} → {source}" for output, source in sorted(spec.state.items())]
    return text_sha256([spec.name, *tensors, str(len(spec.inputs)), *state])


def _shown(field: str, value: Any) -> str:
    if value is None:
        return "none"
    return f"{value[:_SHORT]}…" if field.endswith("sha256") else str(value)
