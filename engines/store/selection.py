"""Which file runs a graph: the bundle's own, or the engine that was built, verified, gated and selected for it.

Loading never builds and never substitutes: what does not fit is refused with the command that mends it.
"""

from __future__ import annotations

import shlex

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.platform import Platform, platform
from videoscene_rt.engines.store.identity import EngineIdentity, graph_sha256, specs_sha256
from videoscene_rt.engines.store.kernel import kernel_for, kernel_recipe
from videoscene_rt.engines.store.located import REFERENCE, Located, Locator, helped_by, reference
from videoscene_rt.engines.store.private_files import read_model
from videoscene_rt.engines.store.records import Gated
from videoscene_rt.engines.store.store import IDENTITY_FILE, EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine

_LIBRARY = "libvideoscene_rt_plugin.so"


def selected_for(backend: str, ceiling: str) -> Locator:
    """The locator of what `vsrt build` selected for a backend under a ceiling.

    The locator raises BackendError where nothing was built, where an engine is damaged or was built for something else (both
    sides are named), and where its gate, or the whole step's, did not pass.
    """
    if (backend, ceiling) == REFERENCE:
        return reference

    def locate(bundle: Bundle, graph: str) -> Located:
        with helped_by(build_command(bundle, backend, ceiling)):
            return _locate(bundle, graph, backend, ceiling)

    return locate


def build_command(bundle: Bundle, backend: str, ceiling: str, plugin: object = None) -> str:
    """The command that builds what is missing, as a shell takes it; ``plugin`` is the library's path, or a word for it."""
    with_plugin = "" if plugin is None else f" --plugin {shlex.quote(str(plugin))}"
    return f"vsrt build {shlex.quote(str(bundle.folder))} --backend {backend} --precision {ceiling}{with_plugin}"


def wanted_identity(
    bundle: Bundle, graph: str, ceiling: str, here: Platform, plugin: str | None = None
) -> EngineIdentity:
    """The identity that an engine of a graph must have here; what only a build decides is left empty.

    Args:
        bundle, graph, ceiling, here: whose, and for what.
        plugin: SHA-256 of the plug-in that is there for graphs that can use it.

    Raises:
        BackendError: none can be built here.
    """
    from videoscene_rt.engines.precision import graph_precision, recipe_digest
    from videoscene_rt.engines.rewrite import can_use_plugin, marks

    if here.built_for is None:
        raise BackendError(here.cannot_build)
    precision = graph_precision(graph, ceiling)
    kernel = kernel_for(graph, here.kind)
    if kernel is not None:
        precision, recipe, plugin = "fp32", kernel_recipe(kernel, bundle), None
    else:
        plugin = plugin if can_use_plugin(graph, here.kind.name, precision) else None
        timesteps = bundle.manifest.policy.timesteps
        rewritten = marks(graph, here.kind.name, timesteps, plugin=plugin is not None)
        recipe = recipe_digest(graph, precision, rewrites=rewritten)
    return EngineIdentity(
        graph=graph,
        graph_sha256=graph_sha256(bundle, graph),
        specs_sha256=specs_sha256(bundle.graph(graph)),
        precision=precision,
        recipe_sha256=recipe,
        calibration_sha256=None,
        backend=here.kind.name,
        backend_version=here.version,
        device=here.built_for,
        compute_capability=here.built_capability,
        plugin_sha256=plugin,
    )


def _locate(bundle: Bundle, graph: str, backend: str, ceiling: str) -> Located:
    store = EngineStore(bundle.folder)
    pair = store.selected().pairs.get(f"{backend}/{ceiling}")
    name = None if pair is None else pair.graphs.get(graph)
    if name == "source" and backend == REFERENCE[0]:
        return reference(bundle, graph)
    if pair is None or name is None or name == "source":
        raise BackendError(f"{bundle.folder} has no engine of graph {graph} for {backend} in {ceiling}")
    here = platform(backend)
    if here.cannot_run:
        raise BackendError(here.cannot_run, "run on a machine that has one, or use --backend onnxruntime")
    again = build_command(bundle, backend, ceiling, _library_of(store, name))
    with helped_by(again):
        engine = store.open(name)
        # Which plug-in is a build's to decide; whether this graph can have one is not.
        _check_identity(engine, wanted_identity(bundle, graph, ceiling, here, engine.identity.plugin_sha256))
    if engine.record.route != "host":  # what runs on the host is the reference itself
        check_gate(f"the engine of graph {graph}", engine.record.gate, here, again)
    check_gate("the whole step", pair.chain, here, again)
    if pair.engines.get(graph, engine.digest) != engine.digest:
        raise BackendError(f"the whole step was gated with another engine of graph {graph}", again)
    return Located.stored(bundle, engine, again)


def _library_of(store: EngineStore, name: str) -> str | None:
    """A word for the plug-in that an engine was built with, as far as a damaged one says so."""
    try:
        identity = read_model(store.folder / name / IDENTITY_FILE, EngineIdentity)
    except BackendError:
        return None
    return None if identity.plugin_sha256 is None else _LIBRARY


def _check_identity(engine: StoredEngine, wanted: EngineIdentity) -> None:
    found = engine.identity
    # What a build decides is the engine's to say; everything else is compared.
    same = wanted.model_copy(
        update={field: getattr(found, field) for field in ("calibration_sha256", "workspace_mib", "level")}
    )
    differences = found.differences(same)
    if differences:
        raise BackendError(
            f"{engine.folder} is not the engine that graph {wanted.graph} needs here: {'; '.join(map(str, differences))}"
        )


def check_gate(what: str, gated: Gated, here: Platform, command: str) -> None:
    """Refuse what was not gated here, or did not pass.

    Raises:
        BackendError: says which, and what to do.
    """
    if gated.status == "not run":
        raise BackendError(f"{what} was stored without its accuracy gate")
    if gated.status == "refused":
        failures = gated.result.failures() if gated.result is not None else ()
        detail = f": {failures[0].text}" if failures else ""
        raise BackendError(
            f"{what} did not pass its accuracy gate{detail}",
            f"use a higher precision, or take it all the same: {command} --accept",
        )
    place, wanted = (gated.device, gated.compute_capability), (here.device, here.compute_capability)
    if place != wanted:
        raise BackendError(f"{what} was gated on {_place(*place)}, here is {_place(*wanted)}")


def _place(device: str | None, capability: str | None) -> str:
    return f"{device} ({capability})" if capability else str(device)
