"""The engines of an item: derived by the recipes and rewrites that `vsrt build` follows, built, and kept beside their graphs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from videoscene_rt.bench.published.engines.deriving import DerivedGraph, derive_graph
from videoscene_rt.bench.published.engines.handed import Handed
from videoscene_rt.bench.published.engines.item import Runtime
from videoscene_rt.engines.digest import file_sha256, text_sha256
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import PLUGIN_FILE, GivenPlugin, Plugin
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.engines.tensorrt.capabilities import Package, open_package
from videoscene_rt.engines.tensorrt.files import write_whole
from videoscene_rt.engines.tensorrt.request import PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan

MADE_FILE, REFUSED_FILE = "made.json", "refused.txt"
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Way:
    """How engines are made.

    Attributes:
        runtime: which. package: of TensorRT; None for ONNX Runtime.
        plugin: TensorRT's library of attention.
        rewrites: whether graphs are rewritten.
    """

    runtime: Runtime
    package: Package | None
    level: int | None = None
    workspace_mib: int | None = None
    plugin: Path | None = None
    rewrites: bool = True

    @property
    def name(self) -> str:
        """Of the folder that holds its engines; a way with another name makes others."""
        if self.package is None:
            return f"{self.runtime}{'' if self.rewrites else '-traced'}"
        level = "" if self.level is None else f"-level{self.level}"
        return f"{self.package}{level}{'-plugin' if self.plugin else ''}{'' if self.rewrites else '-traced'}"


class Made(BaseModel):
    """One engine, ready to be loaded.

    Attributes:
        spec: what it takes and gives. weights: which weight each input is that was one.
        file: the plan or the ONNX file, in the way's folder. sha256: of it.
        precision: of the graph. plugin: SHA-256 of the library that it needs.
        seconds: deriving and building. attempt: how the builder came through.
        notes: what was rewritten, what the builder answered to its deaths.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: GraphSpec
    weights: dict[str, str]
    file: str
    sha256: str
    precision: str
    plugin: str | None
    seconds: float
    attempt: dict[str, Any]
    notes: tuple[str, ...]
    version: str


def way_folder(folder: Path, way: Way) -> Path:
    """Where a way's engines of the item in ``folder`` are."""
    return folder / way.name


def find_made(folder: Path, way: Way, graph: str) -> Made | None:
    """An engine that was made before; None where there is none, or a damaged note of it."""
    place = way_folder(folder, way) / graph
    try:
        made = Made.model_validate_json((place / MADE_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    return made if (place / made.file).exists() else None


def refusal(folder: Path, way: Way, graph: str) -> str | None:
    """Why an engine could not be made before."""
    try:
        return (way_folder(folder, way) / graph / REFUSED_FILE).read_text(encoding="utf-8")
    except OSError:
        return None


def make_engine(folder: Path, handed: Handed, graph: str, way: Way, on_progress: Progress | None = None) -> Made:
    """Make an engine of a graph, or find the one that was made before.

    Args:
        folder: the item's. handed: what it says of itself.
        graph: its name. way: how.
        on_progress: see `build_plan`.

    Raises:
        BackendError: it cannot be derived or built; that is noted, and `refusal` tells it.
    """
    found = find_made(folder, way, graph)
    if found is not None:
        return found
    place = way_folder(folder, way) / graph
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    (place / REFUSED_FILE).unlink(missing_ok=True)
    try:
        made = _made(folder, handed, graph, way, place, on_progress)
    except BackendError as error:
        write_whole(place / REFUSED_FILE, error.problem.encode())
        raise
    write_whole(place / MADE_FILE, made.model_dump_json(indent=1).encode())
    return made


def _made(folder: Path, handed: Handed, graph: str, way: Way, place: Path, on_progress: Progress | None) -> Made:
    begin = time.perf_counter()
    module, can = (None, None) if way.package is None else open_package(way.package)
    weak = can is not None and not can.strongly_typed
    given = None if way.plugin is None or module is None else GivenPlugin.read(way.plugin, str(module.__version__))
    path = place / f"{graph}.onnx"
    derived = derive_graph(
        handed, folder, graph, path, runtime=way.runtime, weak=weak, plugin=given is not None, rewrites=way.rewrites
    )
    notes, attempt, version, file = list(derived.notes), {}, "", path
    plugin = _beside(place, given) if given is not None and derived.needs_plugin else None
    if way.package is not None:
        file = place / "engine.plan"
        result = build_plan(_request(derived, file, way, place, plugin), on_progress, notes.append)
        attempt, version = result.attempt, result.version
        notes += [text for text in result.messages if not text.startswith(("INFO", "VERBOSE"))][:8]
        if weak:  # the plan has it all; a strongly typed graph is what a rehearsal runs
            path.unlink()
            path.with_name(f"{path.name}.data").unlink(missing_ok=True)
    return Made(
        spec=derived.spec,
        weights=derived.weights,
        file=file.name,
        sha256=_digest(file),
        precision=derived.precision,
        plugin=None if plugin is None else plugin.sha256,
        seconds=time.perf_counter() - begin,
        attempt=attempt,
        notes=tuple(notes),
        version=version,
    )


def _request(derived: DerivedGraph, out: Path, way: Way, place: Path, plugin: Plugin | None) -> PlanRequest:
    assert way.package is not None
    key = text_sha256([way.package])[:8]
    return PlanRequest(
        onnx=derived.path,
        out=out,
        package=way.package,
        precision=derived.precision,  # type: ignore[arg-type]  # from a recipe
        layer_precisions=derived.layer_precisions,
        half=derived.half,
        workspace_mib=way.workspace_mib,
        level=way.level,
        timing_cache=place.parents[2] / f"timing-{key}.cache" if way.package == "tensorrt" else None,
        plugin=plugin,
    )


def _beside(place: Path, given: GivenPlugin) -> Plugin:
    path = place / PLUGIN_FILE
    write_whole(path, given.data)
    return Plugin(path, given.sha256)


def _digest(path: Path) -> str:
    """Of a plan, and of an ONNX file with its weights."""
    data = path.with_name(f"{path.name}.data")
    if not data.exists():
        return file_sha256(path)
    return hashlib.sha256(f"{file_sha256(path)} {file_sha256(data)}".encode()).hexdigest()
