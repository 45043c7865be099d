"""The part of `vsrt inspect` that says how much memory a step takes, before anything is loaded."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from videoscene_rt.chain.arena import ArenaPlan
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.store.records import Pair

SLOTS = 2
"""What `Pipeline.load` makes, unless it is told otherwise."""


def memory_document(bundle: Bundle) -> dict[str, Any]:
    """Bytes by pair of backend and ceiling: of each role, of the arena, and of the engines' files.

    Raises:
        BackendError: the selection is damaged.
    """
    return {
        key: {"slots": SLOTS, "arena": arena.nbytes, **arena.by_role(), "engine_files": files}
        for key, (arena, files) in _plans(bundle).items()
    }


def print_memory(bundle: Bundle) -> None:
    """A table of the same.

    Raises:
        BackendError: the selection is damaged.
    """
    from rich import box
    from rich.table import Table

    from videoscene_rt.cli import console

    roles = ("input", "constant", "inner", "cache", "result", "scratch")
    table = Table(box=box.SIMPLE_HEAD, title=f"memory of a step, {SLOTS} slots", title_justify="left")
    for heading in ("backend in precision", *roles, "in all", "engines' files"):
        table.add_column(heading, justify="left" if heading.startswith("backend") else "right")
    for key, (arena, files) in _plans(bundle).items():
        sizes = arena.by_role()
        row = [console.size(sizes.get(role, 0)) for role in roles]
        table.add_row(key.replace("/", " in "), *row, console.size(sum(sizes.values())), console.size(files))
    console.RESULT.print(table)


def _plans(bundle: Bundle) -> dict[str, tuple[ArenaPlan, int]]:
    """The arena of each pair that was built, and of the reference; with the size of the engines' files."""
    from videoscene_rt.engines.store.located import REFERENCE
    from videoscene_rt.engines.store.store import EngineStore

    pairs = EngineStore(bundle.folder).selected().pairs
    found = {key: _plan(bundle, pair) for key, pair in pairs.items()}
    reference = "/".join(REFERENCE)
    return found if reference in found else {reference: _plan(bundle, None), **found}


def _plan(bundle: Bundle, pair: Pair | None) -> tuple[ArenaPlan, int]:
    from videoscene_rt.chain.arena import plan_arena
    from videoscene_rt.chain.cache_types import typed_as_built
    from videoscene_rt.chain.plan import plan_chain
    from videoscene_rt.chain.ways import Ways
    from videoscene_rt.engines.caches import as_built
    from videoscene_rt.engines.errors import BackendError
    from videoscene_rt.engines.store.store import EngineStore

    store = EngineStore(bundle.folder)
    scratch, files = {}, 0
    specs = dict(bundle.manifest.graphs)
    for graph, name in ({} if pair is None else pair.graphs).items():
        if name == "source" or graph not in specs:
            continue
        try:
            record = store.open(name).record
        except BackendError:  # damaged: the table of engines says so
            del specs[graph]
            continue
        scratch[graph] = record.scratch_bytes
        specs[graph] = as_built(bundle, graph, record.half)
        files += sum(entry.bytes for entry in record.files.values())
    plan = plan_chain(bundle.manifest, streaming=True)
    with contextlib.suppress(BackendError):  # engines that do not fit together are refused when they are loaded
        plan = typed_as_built(plan, specs)
    needs = {stage.name: scratch.get(stage.graph, 0) for stage in plan.every_stage}
    return plan_arena(plan, Ways.of(plan), needs, SLOTS), files
