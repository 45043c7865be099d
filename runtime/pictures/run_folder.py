"""The folder that a run writes: two videos, the contact sheet and the report.

They are written under temporary names and renamed when all four are whole, so an error leaves what was there. The four renames
follow each other at once but are four: a process that is killed between two of them leaves new files beside old ones, each whole.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.contact_sheet import contact_sheet, write_contact_sheet
from videoscene_rt.pictures.report import RunReport, write_report
from videoscene_rt.pictures.video import checked_rate, write_video
from videoscene_rt.result import Result

COARSE, REFINED, SHEET, REPORT = "coarse.mp4", "refined.mp4", "contact_sheet.png", "report.json"
FILES = {"coarse": COARSE, "refined": REFINED, "contact_sheet": SHEET, "report": REPORT}
_ANOTHER = "name another folder with --out"


def write_run(
    out: Path, result: Result, images: npt.NDArray[np.uint8], report: RunReport, *, fps: float, title: str
) -> dict[str, Path]:
    """Write the files of a run.

    Args:
        out: the folder; made if it is not there. Files of these names in it are replaced.
        result: of the step.
        images: uint8[2,H,W,3], the two inputs at the preset's size.
        report: goes into report.json.
        fps: of the videos.
        title: of the contact sheet.

    Returns:
        Where each file is, by what it is.

    Raises:
        InputError: the folder cannot be written, or fps is no rate.
        BackendError: there is no H.264 encoder.
    """
    with _staged(out) as folder:
        write_video(folder / COARSE, result.coarse, fps)
        write_video(folder / REFINED, result.frames, fps)
        sheet = contact_sheet(result.coarse, result.frames, images[0], images[1], result.hole_mask, title=title)
        write_contact_sheet(folder / SHEET, sheet)
        write_report(folder / REPORT, report)
    return {what: out / name for what, name in FILES.items()}


def check_run(out: Path, fps: float) -> None:
    """Whether `write_run` could write there at that rate, as far as that can be known before; nothing is touched.

    Raises:
        InputError: ``out`` is a file or cannot be written, one of the four files is a folder, or fps is no rate.
    """
    checked_rate(fps)
    try:
        _check_targets(out)
        existing = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not existing.is_dir():
            raise InputError(f"{out} cannot be written: {existing} is not a folder", _ANOTHER)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}", _ANOTHER) from error
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{out} cannot be written: Permission denied", _ANOTHER)


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder to write to; its files move to ``out`` when all of them are there. What was made for it goes if that fails."""
    made: list[Path] = []
    try:
        _check_targets(out)
        made = _make_folder(out)
        folder = Path(tempfile.mkdtemp(prefix=".run.", dir=out))
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"{out} cannot be written: {error.strerror}", _ANOTHER) from error
    try:
        yield folder
        _check_targets(out)
        for name in FILES.values():
            os.replace(folder / name, out / name)  # noqa: PTH105 - Path.replace is the same call
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty(made)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _check_targets(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is not a folder", _ANOTHER)
    for name in FILES.values():
        if (out / name).is_dir():
            raise InputError(f"{out / name} is a folder; a file was to be written there", _ANOTHER)


def _make_folder(out: Path) -> list[Path]:
    """Make a folder; gives those that were not there before, the deepest first."""
    missing = []
    for path in (out, *out.parents):
        if path.exists():
            break
        missing.append(path)
    out.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # something else was put there meanwhile: it stays
            folder.rmdir()
