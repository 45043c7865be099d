"""The whole step as Markdown: ``python -m videoscene_rt.bench.chain_table RECORD…``; other JSON files of a session are told apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videoscene_rt.bench.chain_targets import targets
from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.engines.errors import InputError, VsrtError
from videoscene_rt.engines.gates import CHAIN

_MIB = 2**20


def series_table(records: Sequence[Record]) -> str:
    """Every series of every record: percentiles in milliseconds, and the tail over the median."""
    lines = [
        "| runner | series | steps | p50, ms | p90 | p99 | max | p99 / p50 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for record in records:
        for name, found in record.statistics.items():
            tail = None if found.p99 is None or not found.p50 else found.p99 / found.p50
            figures = (*map(_ms, (found.p50, found.p90, found.p99, found.max)), "–" if tail is None else f"{tail:.3f}")
            cells = (record.identity.runner, name, str(found.count), *figures)
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def stage_table(record: Record) -> str:
    """The stages on the device's clock, and what ran at once; "" where there are none."""
    facts = record.chain
    if facts is None or not facts.stages or facts.overlap is None:
        return ""
    lines = ["| stage | lane | start, ms | end, ms | takes, ms |", "| --- | ---: | ---: | ---: | ---: |"]
    for span in facts.stages:
        times = (_ms(span.start_ms), _ms(span.end_ms), _ms(span.end_ms - span.start_ms))
        lines.append(f"| `{span.stage}` | {span.lane} | {' | '.join(times)} |")
    seen = facts.overlap
    pairs = ", ".join(f"{one} and {other}" for one, other in seen.pairs) or "none"
    lines += [
        "",
        f"All stages {_ms(seen.busy_ms)} ms, first start to last end {_ms(seen.span_ms)} ms, two or more at once "
        f"{_ms(seen.at_once_ms)} ms, none {_ms(seen.idle_ms)} ms. At once: {pairs}.",
    ]
    return "\n".join(lines) + "\n"


def facts_lines(record: Record) -> str:
    """Memory, copies and throughput as a list; "" where the record has none."""
    facts = record.chain
    if facts is None:
        return ""
    lines = [
        f"- {facts.num_points:,} points, t = {facts.timestep}, {facts.slots} slots, {facts.memory} memory; "
        f"arena {facts.arena_bytes / _MIB:.1f} MiB, on the host {facts.mapped_bytes / _MIB:.1f} MiB"
        + ("" if facts.device_bytes is None else f", device memory taken in all {facts.device_bytes / _MIB:.0f} MiB")
    ]
    lines += [f"- bytes uploaded a step ({way}): {count:,}" for way, count in facts.uploaded_bytes.items()]
    if facts.downloaded_bytes is not None:
        lines.append(f"- bytes downloaded when the results are asked for on the host: {facts.downloaded_bytes:,}")
    if facts.growth is not None:
        grown = facts.growth
        device = "not known" if grown.device_bytes is None else f"{grown.device_bytes:,} bytes"
        lines.append(f"- kept after {grown.steps} steps: device memory {device}, Python {grown.python_bytes:,} bytes")
    lines += [
        f"- {flow.in_flight} in flight ({way}): {flow.ms_per_step:.3f} ms a step"
        for way, flow in facts.throughput.items()
    ]
    return "\n".join(lines) + "\n"


def kernel_table(records: Sequence[Record]) -> str:
    """The renderer's kernels by themselves, on the device's clock."""
    lines = ["| kernels | p50, ms (device) | p99 | notes |", "| --- | ---: | ---: | --- |"]
    for record in records:
        found = record.statistics["device"]
        cells = (record.identity.preset, _ms(found.p50), _ms(found.p99), "; ".join(record.notes[1:]))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def equality_lines(found: dict[str, Any]) -> str:
    """The checks of an equality record."""
    words = {None: "not made", True: "held", False: "**failed**"}
    return "\n".join(
        f"- {words[check['held']]}: {check['name']}{': ' + check['said'] if check['said'] else ''}"
        for check in found["checks"]
    )


def markdown(paths: Sequence[str]) -> str:
    """Everything there is to say about the whole step in these files.

    Raises:
        InputError: a file cannot be read.
    """
    records, kernels, equality = _sorted(paths)
    parts = []
    for preset in dict.fromkeys(record.identity.preset for record in records):
        mine = [record for record in records if record.identity.preset == preset]
        parts += [f"## The whole step: {preset}\n", series_table(mine)]
        parts += [targets(mine)]
        for record in (record for record in mine if record.chain is not None):
            parts += [f"### {record.identity.runner}\n", facts_lines(record), stage_table(record)]
    for found in equality:
        parts += [
            f"### Equality: {found['preset']}, {found['backend']} {found['precision']}\n",
            equality_lines(found) + "\n",
        ]
    if kernels:
        parts += ["## The renderer's kernels\n", kernel_table(kernels)]
    return "\n".join(part for part in parts if part)


def _sorted(paths: Sequence[str]) -> tuple[list[Record], list[Record], list[dict[str, Any]]]:
    """Records of whole steps, records of kernels, and equality records."""
    records, kernels, equality = [], [], []
    for path in paths:
        try:
            data = json.loads(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from error
        if isinstance(data, dict) and data.get("kind") == "equality":
            equality.append(data)
        elif isinstance(data, dict) and data.get("identity", {}).get("graph") == CHAIN:
            records.append(read_record(path))
        elif isinstance(data, dict) and data.get("identity", {}).get("backend") == "kernel":
            kernels.append(read_record(path))
    return records, kernels, equality


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def main(argv: Sequence[str]) -> int:
    """Paths → tables on standard output; 2 where a file cannot be read."""
    try:
        sys.stdout.write(markdown(argv))
    except VsrtError as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
