"""manifest.json: what a bundle says of itself. Validated on every reading; written once."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import KIND, Half, decoder_graphs, encoder_graphs
from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import GraphSpec, Parity
from videoscene_rt.engines.words import one_line

SCHEMA_VERSION: Literal[3] = 3
"""3 encodes both condition images in one call; the chain has no stages for the graphs of the schemas before."""

_LONGEST_NAME = 255


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _inside(name: str) -> str:
    parts = PurePosixPath(name)
    if (
        parts.is_absolute()
        or not parts.parts
        or ".." in parts.parts
        or "\\" in name
        or "\0" in name
        or str(parts) != name
        or not name.isprintable()
        or len(name) > _LONGEST_NAME
    ):
        raise ValueError(f"{name[:_LONGEST_NAME]!r} is not a plain path inside the bundle")
    return name


BundlePath = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(_Data):
    """One file of the bundle, as it was written."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class PolicyInfo(_Data):
    """How the timestep is chosen: by the policy net ("ddpnet") or always the same ("constant"); ``timesteps`` are its candidates."""

    kind: Literal["ddpnet", "constant"]
    timesteps: tuple[Annotated[int, Field(ge=0, le=999)], ...]
    chosen: int | None = Field(default=None, description="the timestep t of a constant policy")

    @model_validator(mode="after")
    def _choice_is_a_candidate(self) -> PolicyInfo:
        if self.chosen is not None and (self.kind != "constant" or self.chosen not in self.timesteps):
            raise ValueError(f"a {self.kind} policy over {list(self.timesteps)} cannot have chosen {self.chosen}")
        return self


class TensorFile(_Data):
    """One file that weights were read from: ``tensors`` of them, for the graphs of ``component``."""

    component: str
    file: str = Field(description="inside the checkpoint's folder, or the name of a file given beside it")
    tensors: int = Field(ge=0)


class Provenance(_Data):
    """Where the weights and the graphs came from."""

    created: str = Field(description="UTC, ISO 8601")
    command: str
    weights: Literal["seed", "checkpoint"]
    seed: int
    checkpoint_sha256: Sha256 | None = Field(default=None, description="digest over the checkpoint's files, by name")
    shipped_with: str | None = Field(
        default=None, description="the preset that the checkpoint comes with, in the project itself"
    )
    weights_dtype: dict[str, str] = Field(description="dtype of each weight file: the checkpoint's")
    tensor_files: tuple[TensorFile, ...] = Field(default=(), description="what a checkpoint's weights were read from")
    mismatches: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="tensors of each component that did not match, and were accepted so"
    )
    versions: dict[str, str]

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        if self.weights == "seed":
            return f"untrained, from seed {self.seed}"
        come_with = "" if self.shipped_with is None else f"trained, those that come with preset {self.shipped_with}: "
        return f"{come_with}checkpoint {self.checkpoint_sha256}"


class Manifest(_Data):
    """Everything the runtime knows of a bundle before it opens a graph.

    ``encoders`` and ``decoders`` are those that are kept, the one that runs by default first.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    preset: Preset
    encoders: tuple[Half, ...] = ()
    decoders: tuple[Half, ...] = ()
    graphs: dict[str, GraphSpec]
    policy: PolicyInfo
    prompt_file: BundlePath
    chain_parity: Parity
    files: dict[BundlePath, FileEntry]
    provenance: Provenance

    @property
    def own(self) -> Half:
        """What the halves of the preset's own autoencoder are called."""
        return KIND[self.preset.autoencoder.kind]

    @model_validator(mode="before")
    @classmethod
    def _halves_of_the_preset(cls, data: Any) -> Any:
        """Where nothing is said of them, the encoder and the decoder are the preset's own."""
        if not isinstance(data, dict):
            return data
        preset = data.get("preset")
        sizes = preset.get("autoencoder") if isinstance(preset, dict) else getattr(preset, "autoencoder", None)
        kind = sizes.get("kind") if isinstance(sizes, dict) else getattr(sizes, "kind", None)
        own = KIND.get(kind) if isinstance(kind, str) else None
        return data if own is None else {"encoders": (own,), "decoders": (own,), **data}

    @model_validator(mode="after")
    def _halves_are_there(self) -> Manifest:
        for what, halves in (("encoders", self.encoders), ("decoders", self.decoders)):
            if not halves or len(set(halves)) < len(halves):
                raise ValueError(f"{what} must name each one that is kept, once: {list(halves)}")
            beside = set(halves) - {self.own}
            if beside and (self.own == "tiny" or self.preset.tiny_autoencoder is None):
                raise ValueError(f"{what}: the preset has no {', '.join(sorted(beside))} autoencoder")
        needed = [(f"encoders: {half}", encoder_graphs(self.own, half)) for half in self.encoders]
        needed += [(f"decoders: {half}", decoder_graphs(half)) for half in self.decoders]
        for what, graphs in needed:
            missing = [name for name in graphs if name not in self.graphs]
            if missing:
                raise ValueError(f"{what} needs graph {missing[0]!r}, and there is none")
        return self

    @model_validator(mode="after")
    def _names_agree(self) -> Manifest:
        for name, graph in self.graphs.items():
            if graph.name != name:
                raise ValueError(f"graphs.{name}: the graph calls itself {graph.name!r}")
            if graph.file not in self.files:
                raise ValueError(f"graphs.{name}: its file {graph.file!r} is not among the bundle's files")
            for output, source in graph.state.items():
                if graph.output(output).shape != graph.input(source).shape:
                    raise ValueError(f"graphs.{name}: state {output} → {source} changes its shape")
        if self.prompt_file not in self.files:
            raise ValueError(f"prompt_file {self.prompt_file!r} is not among the bundle's files")
        return self


def parse_manifest(text: bytes | str, where: str) -> Manifest:
    """Read a manifest.

    Args:
        text: the JSON document.
        where: what to call it in messages.

    Raises:
        InputError: it is no JSON, its schema is newer or older than ours, or a field is wrong (the first one is named).
    """
    try:
        data: Any = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON: {one_line(str(error))}", "export the bundle again") from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and not isinstance(version, bool) and version != SCHEMA_VERSION:
        newer = "install a newer videoscene-rt, or " if version > SCHEMA_VERSION else ""
        raise InputError(
            f"{where} has schema version {one_line(str(version))}; this videoscene-rt reads {SCHEMA_VERSION}",
            f"{newer}export the bundle again with this one",
        )
    try:
        return Manifest.model_validate_json(text)
    except (ValidationError, KeyError) as error:
        raise InputError(f"{where}: {_first_problem(error)}", "export the bundle again") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; readers differ in which of two equal keys they take, so there may be none."""
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return data


def _first_problem(error: ValidationError | KeyError) -> str:
    if isinstance(error, KeyError):
        return f"a state names {one_line(repr(error.args[0]))}, which its graph does not have"
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the document"
    return f"{one_line(place)}: {one_line(first['msg'])}"
