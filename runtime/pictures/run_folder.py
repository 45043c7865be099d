"""The folder that a run writes: two videos, the contact sheet and the report; all of them or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.contact_sheet import contact_sheet, write_contact_sheet
from videoscene_rt.pictures.report import RunReport, write_report
from videoscene_rt.pictures.video import write_video
from videoscene_rt.result import Result

COARSE, REFINED, SHEET, REPORT = "coarse.mp4", "refined.mp4", "contact_sheet.png", "report.json"
FILES = {"coarse": COARSE, "refined": REFINED, "contact_sheet": SHEET, "report": REPORT}


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


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """A folder to write to; its files move to ``out`` when all of them are there."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is not a folder", "name another one with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".run.", dir=out))
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}", "name another folder with --out") from error
    try:
        yield folder
        for name in FILES.values():
            os.replace(folder / name, out / name)  # noqa: PTH105 - Path.replace is the same call
    finally:
        shutil.rmtree(folder, ignore_errors=True)
