"""What the whole step is meant to reach, and what a set of records says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videoscene_rt.bench.compare import ratio
from videoscene_rt.bench.record import Record
from videoscene_rt.engines.errors import InputError

LAUNCH_US = 50.0
TAIL = 1.05
_TORCH = (("eager", "required", 4.0), ("eager", "goal", 10.0), ("reduce-overhead", "goal", 1.5))


@dataclass(frozen=True)
class Target:
    """One line: what, its limit in words, what was found, and whether that is met; None where nothing was measured."""

    what: str
    limit: str
    found: str
    met: bool | None


def targets(records: Sequence[Record]) -> str:
    """A table of the targets for each captured chain among the records of one bundle on one machine; "" without one."""
    parts = []
    for chain in records:
        if chain.chain is None or not chain.chain.captured:
            continue
        rows = [
            _launch(chain),
            *(_tail(chain, series) for series in ("device", "host")),
            *_against_torch(chain, records),
        ]
        lines = [
            f"Targets, {chain.identity.runner}:",
            "",
            "| what | limit | found | met |",
            "| --- | --- | ---: | --- |",
        ]
        words = {None: "not measured", True: "yes", False: "no"}
        lines += [f"| {row.what} | {row.limit} | {row.found} | {words[row.met]} |" for row in rows]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _launch(chain: Record) -> Target:
    found = chain.statistics["enqueue"].p50 * 1e3
    return Target("host time of a captured step, p50", f"≤ {LAUNCH_US:g} µs", f"{found:.1f} µs", found <= LAUNCH_US)


def _tail(chain: Record, series: str) -> Target:
    what, limit = f"p99 / p50 ({series})", f"≤ {TAIL:g}"
    found = chain.statistics.get(series)
    if found is None or found.p99 is None or not found.p50:
        return Target(what, limit, "–", None)
    value = found.p99 / found.p50
    return Target(what, limit, f"{value:.3f}", value <= TAIL)


def _against_torch(chain: Record, records: Sequence[Record]) -> list[Target]:
    rows = []
    for mode, word, limit in _TORCH:
        what, wanted = f"faster than torch {mode} (host, {word})", f"≥ {limit:g}×"
        found = next((record for record in records if record.identity.engine == f"baseline:torch-{mode}"), None)
        if found is None:
            rows.append(Target(what, wanted, "–", None))
        else:
            try:
                value = ratio(found, chain).value
            except InputError as error:
                rows.append(Target(what, wanted, error.problem, None))
            else:
                rows.append(Target(what, wanted, f"{value:.2f}×", value >= limit))
    return rows
