"""The part of `vsrt inspect` that shows what was built of a bundle: engines, identities and gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoscene_rt.cli.engine_table import Row
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.store.records import Pair, Selected
    from videoscene_rt.engines.store.store import EngineStore


def engines_document(bundle: Bundle) -> dict[str, Any]:
    """What was built, as plain data: the selection, and identity and record of every engine in the store, or what is wrong with it.

    Raises:
        BackendError: the selection is damaged.
    """
    from videoscene_rt.engines.errors import BackendError
    from videoscene_rt.engines.store.store import EngineStore

    store = EngineStore(bundle.folder)
    engines: dict[str, Any] = {}
    for name in store.names():
        try:
            engine = store.open(name)
            engine.verify()
        except BackendError as error:
            engines[name] = {"problem": error.problem}
            continue
        engines[name] = {
            "digest": engine.identity.digest,
            "identity": engine.identity.model_dump(mode="json"),
            "record": engine.record.model_dump(mode="json"),
        }
    return {"selected": _selected(bundle).model_dump(mode="json")["pairs"], "stored": engines}


def print_built(bundle: Bundle) -> None:
    """One table for each pair of backend and ceiling that was built; nothing where none was.

    Raises:
        BackendError: the selection is damaged.
    """
    from videoscene_rt.cli.engine_table import print_engines
    from videoscene_rt.engines.store.store import EngineStore

    store = EngineStore(bundle.folder)
    for key, pair in _selected(bundle).pairs.items():
        backend, _, ceiling = key.partition("/")
        print_engines(f"{backend} in {ceiling}{_scenes(pair)}", _rows(store, ceiling, pair))


def _selected(bundle: Bundle) -> Selected:
    """The selection, or the refusal of a damaged one with what mends it."""
    from videoscene_rt.engines.store.located import helped_by
    from videoscene_rt.engines.store.selection import build_command
    from videoscene_rt.engines.store.store import EngineStore

    with helped_by(f"build again what you use: {build_command(bundle, 'BACKEND', 'PRECISION')}"):
        return EngineStore(bundle.folder).selected()


def _scenes(pair: Pair) -> str:
    return "" if pair.chain.result is None else f", gated on {', '.join(pair.chain.result.scenes)}"


def _rows(store: EngineStore, ceiling: str, pair: Pair) -> list[Row]:
    from videoscene_rt.cli.engine_table import Row
    from videoscene_rt.engines.errors import BackendError

    rows, others = [], []
    for graph, name in pair.graphs.items():
        if name == "source":
            rows.append(Row(graph, "fp32", name, None))
            continue
        try:
            engine = store.open(name)
            engine.verify()
        except BackendError as error:
            rows.append(Row(graph, "", error.problem, None, damaged=True))
            continue
        if pair.engines.get(graph, engine.digest) != engine.digest:
            others.append(graph)
        identity, record = engine.identity, engine.record
        if record.route == "host":
            rows.append(Row(graph, "fp32", "host", None))
            continue
        words = (record.route if record.route != "engine" else "", "plugin" if record.plugin is not None else "")
        shown = ", ".join((identity.digest[:6], *filter(None, words)))
        rows.append(Row(graph, identity.precision, shown, record.gate, record.seconds))
    rows.append(Row("the whole step", ceiling, f"with another {', '.join(others)}" if others else "", pair.chain))
    return rows
