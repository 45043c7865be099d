"""The series of a record in words, in the order in which a page shows them, and the one that stands for the step."""

from __future__ import annotations

from videoscene_rt.bench.record import Record

WORDS = {
    "step.scene": "step, given a scene",
    "step.device": "step, given device memory",
    "step.page-locked": "step, given page-locked memory",
    "step.scene.to-host": "step, results brought to the host",
    "device": "chain alone, device's clock",
    "host": "chain alone, host's clock",
    "enqueue": "launch: the host's part of a step",
    "submit.scene": "submit, given a scene",
    "submit.device": "submit, given device memory",
    "copy.in": "copy of the inputs",
    "copy.out": "copy of the results",
    "rate.age": "age of a result when it is there",
    "rate.oldest": "age of the newest result when it is replaced",
    "rate.step": "step at the rate",
    "rate.wait": "wait of an input until it is taken",
    "stream.first-frame": "time to the first frame",
    "stream.last-frame": "time to the last frame of a stream",
    "stream.spacing": "from one group of frames to the next",
}
_HEADLINES = ("step.scene", "step.device", "host", "device", "process")


def words(name: str) -> str:
    """A series in words; of one that is not known, its name."""
    return WORDS.get(name, name)


def ordered(record: Record) -> list[str]:
    """The series of a record: known ones in the order of `WORDS`, then the others."""
    known = [name for name in WORDS if name in record.statistics]
    return known + [name for name in record.statistics if name not in WORDS]


def headline(record: Record) -> str:
    """The series that stands for the record: a step as its user sees it, or what comes nearest to that."""
    return next((name for name in _HEADLINES if name in record.statistics), next(iter(record.statistics)))


def samples_ms(record: Record, name: str) -> list[float] | None:
    """The samples of a series in milliseconds; None where the record has not kept them."""
    kept = (record.samples_us or {}).get(name)
    return None if kept is None else [value / 1e3 for value in kept]
