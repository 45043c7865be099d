"""The student with all its blocks, from fewer of them: a line through two numbers of blocks."""

from __future__ import annotations

from collections import defaultdict

from videoscene_rt.bench.published.finding import Finding
from videoscene_rt.bench.published.request import AnyMode, Dtype


def extrapolated(findings: list[Finding], blocks: int) -> list[Finding]:
    """The times that the fewest and the most blocks of a mode and dtype point to, where ``blocks`` were not measured themselves.

    Memory and roofline are left out.
    """
    groups: dict[tuple[AnyMode, Dtype], dict[int, float]] = defaultdict(dict)
    for one in findings:
        if one.stage == "student" and one.ms is not None and one.blocks is not None and one.extrapolated is None:
            groups[one.mode, one.dtype][one.blocks] = one.ms
    found = []
    for (mode, dtype), times in groups.items():
        few, many = min(times), max(times)
        if few == many or blocks in times:
            continue
        slope = (times[many] - times[few]) / (many - few)
        found.append(
            Finding(
                stage="student",
                mode=mode,
                dtype=dtype,
                blocks=blocks,
                ms=times[many] + slope * (blocks - many),
                extrapolated=f"from {few} and {many} blocks",
            )
        )
    return found
