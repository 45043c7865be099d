"""Making one engine and putting it into the store, not gated yet."""

from __future__ import annotations

import time
from pathlib import Path

from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.building.order import Order, Produced, Progress
from videoscene_rt.engines.building.produce import produce
from videoscene_rt.engines.building.verdict import NOT_RUN
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.machine import driver_version
from videoscene_rt.engines.platform import Platform
from videoscene_rt.engines.plugin import GivenPlugin
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.kernel import KERNEL_FILE
from videoscene_rt.engines.store.records import EngineRecord
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine


def make_engine(
    bundle: Bundle,
    identity: EngineIdentity,
    here: Platform,
    store: EngineStore,
    activations: Activations | None,
    on_progress: Progress,
    plugin: GivenPlugin | None = None,
) -> StoredEngine:
    """Make the engine of an identity. It appears in the store whole or not at all.

    Args:
        bundle: whose graph.
        identity: of the engine to be.
        here: what builds it.
        store: under its lock.
        activations: the reference's; None in FP32.
        on_progress: see `produce`.
        plugin: the one in the identity.

    Raises:
        BackendError: see `produce`.
    """
    start = time.perf_counter()
    with store.staging() as folder, store.staging() as work:
        order = Order(
            bundle=bundle,
            graph=identity.graph,
            precision=identity.precision,
            here=here,
            folder=folder,
            work=work,
            workspace_mib=identity.workspace_mib,
            level=identity.level,
            timing_cache=_timing_cache(here, store),
            plugin=plugin,
        )
        produced = produce(order, activations, on_progress)
        made = identity.model_copy(update={"attempt": produced.attempt})
        return store.put(folder, made, _record(here, produced, time.perf_counter() - start))


def _record(here: Platform, produced: Produced, seconds: float) -> EngineRecord:
    files = {"engine": here.kind.engine_file, "kernel": KERNEL_FILE}
    return EngineRecord(
        route=produced.route,
        engine=files.get(produced.route),
        plugin=produced.plugin,
        files={},
        gate=NOT_RUN,
        layers=produced.layers,
        half=produced.half,
        seconds=seconds,
        versions={here.kind.module: here.version, **produced.versions},
        driver=None if here.kind.device == "cpu" else driver_version(),
        messages=produced.messages,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _timing_cache(here: Platform, store: EngineStore) -> Path | None:
    if here.can is None or not here.can.timing_cache:
        return None
    # Timings are of one version on one GPU.
    key = text_sha256([here.kind.module, here.version, str(here.device)])
    return store.folder / f"timing-{key[:16]}.cache"
