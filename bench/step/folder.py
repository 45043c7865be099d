"""The folder that `vsrt bench` writes: the record, the page, the table, the frames. Each file is whole or not there."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from videoscene_rt.bench.record import Record, write_record
from videoscene_rt.bench.report.page import report_page
from videoscene_rt.bench.report.strip import frame_strip
from videoscene_rt.bench.report.table import markdown_table
from videoscene_rt.bench.step.found import Measured
from videoscene_rt.bench.step_facts import FramesFacts
from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.atomic import replacing

RECORD, REPORT, TABLE, FRAMES, FAILED = "record.json", "report.html", "table.md", "frames.jpg", "failures.log"


def check_out(out: Path) -> None:
    """Whether the folder could be written, before anything is measured; nothing is touched.

    Raises:
        InputError: it is a file, or cannot be written.
    """
    try:
        existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}", _ANOTHER) from error
    if not existing.is_dir():
        raise InputError(f"{out} cannot be written: {existing} is not a folder", _ANOTHER)
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{out} cannot be written: Permission denied", _ANOTHER)


def write_measured(out: Path, measured: Measured) -> Record:
    """Write all four files, and what failed in full if something did; gives the record as it was written.

    Raises:
        InputError: the folder cannot be written.
    """
    frames = _frames(measured)
    record = keep_measured(out, measured, frames)
    (out / FAILED).unlink(missing_ok=True)  # of a measurement before this one
    if measured.traces:
        write_text(out / FAILED, "\n".join(f"== {name}\n{trace}" for name, trace in measured.traces.items()))
    write_pages(out, record, frames)
    return record


def keep_measured(out: Path, measured: Measured, frames: bytes | None = None) -> Record:
    """Write the record and the frames, and nothing that takes long; see `write_measured`."""
    frames = _frames(measured) if frames is None else frames
    facts = FramesFacts(file=FRAMES, sha256=hashlib.sha256(frames).hexdigest())
    record = measured.record.model_copy(update={"frames": facts})
    make(out)
    with replacing(out / FRAMES) as temporary:
        temporary.write_bytes(frames)
    write_record(out / RECORD, record)
    return record


def _frames(measured: Measured) -> bytes:
    return frame_strip(measured.results["coarse"], measured.results["frames"])


def write_pages(out: Path, record: Record, frames: bytes | None) -> None:
    """Write the page and the table of a record.

    Raises:
        InputError: the folder cannot be written.
    """
    write_text(out / REPORT, report_page(record, frames))
    write_text(out / TABLE, markdown_table(record))


def write_text(path: Path, text: str) -> None:
    """Write a text, under a temporary name first.

    Raises:
        InputError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def make(out: Path) -> None:
    """Make a folder.

    Raises:
        InputError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}", _ANOTHER) from error


def frames_of(path: Path, record: Record) -> bytes | None:
    """The picture beside a record, if it is there and the record's own."""
    if record.frames is None or Path(record.frames.file).name != record.frames.file:
        return None
    with suppress(OSError):
        found = (path.parent / record.frames.file).read_bytes()
        if hashlib.sha256(found).hexdigest() == record.frames.sha256:
            return found
    return None


_ANOTHER = "name another folder with --out"
