"""The end of a page: what exactly was measured, with what, and by which rules."""

from __future__ import annotations

from videoscene_rt.bench.record import Record
from videoscene_rt.bench.report.markup import Child, Markup, facts, tag
from videoscene_rt.bench.report.numbers import digits

RULES = (
    "Warm-up first, then samples in the order they were taken. Settled means that the median of the last quarter is within "
    "{limit} of the first quarter's. Percentiles are nearest rank: a latency that was seen. Jitter is the mean absolute difference of "
    "consecutive samples. Python's garbage collector rests while a loop runs. Inputs lie in the same buffers every time."
)


def about(record: Record) -> Markup:
    """Identity, machine, versions, settings, rules."""
    who, gpu = record.identity, record.gpu
    loop = record.settings
    rows: list[tuple[str, Child]] = [
        ("bundle", who.bundle_sha256),
        ("engine", who.engine),
        ("runner", who.runner),
        ("graph", who.graph),
        ("inputs", record.inputs.source),
        ("device", who.device),
        (
            "GPU",
            None if gpu is None else f"{gpu.name}, driver {gpu.driver}, compute capability {gpu.compute_capability}",
        ),
        ("host", f"{record.host.system}, {record.host.architecture}, {record.host.cores_usable} cores"),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
        (
            "loop",
            f"at least {loop.iterations:,} steps and {loop.seconds:g} s after {loop.warmup_iterations} steps and {loop.warmup_s:g} s "
            "of warm-up",
        ),
        (
            "harness",
            None
            if record.overhead_us is None
            else f"{digits(record.overhead_us)} µs a step, measured over nothing to do",
        ),
        ("schema", str(record.schema_version)),
    ]
    rules = tag("p", RULES.format(limit=f"{loop.settle_limit:.0%}".replace("%", " %")), class_="faint")
    return tag("section", tag("h2", "What was measured"), facts(rows), rules)


def notes(record: Record) -> Markup | None:
    """What a reader must know; None where there is nothing."""
    if not record.notes and not record.failures:
        return None
    parts: list[Child] = []
    if record.failures:
        parts += [tag("h2", "What failed"), facts([(name, why) for name, why in record.failures.items()])]
    if record.notes:
        parts += [tag("h2", "Notes"), tag("ul", *(tag("li", note) for note in record.notes))]
    return tag("section", *parts)
