"""The part of `vsrt export` that says which file each tensor comes from, and what does not match."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from videoscene_rt.export.matching import Matched
    from videoscene_rt.export.request import Mismatch

_WORDS = {"missing": "in no file", "unexpected": "not in the model", "misshapen": "of another shape"}
_NAMED = 6


def accepted_mismatches(words: list[str] | None) -> frozenset[Mismatch]:
    """The values of --accept.

    Raises:
        InputError: one is none of the three kinds.
    """
    from videoscene_rt.engines.errors import InputError
    from videoscene_rt.export.request import MISMATCHES

    for word in words or []:
        if word not in MISMATCHES:
            raise InputError(f"--accept must be {', '.join(MISMATCHES)}, not {word!r}", "vsrt export --help")
    return frozenset(kind for kind in MISMATCHES if kind in (words or []))


class WeightsTable:
    """Keeps what the export tells of a checkpoint's files, to be printed when it is over, however it ends."""

    def __init__(self, folder: Path | None, accepted: frozenset[Mismatch]) -> None:
        self._folder, self._accepted = folder, accepted
        self._matched: tuple[Matched, ...] = ()

    def take(self, matched: tuple[Matched, ...]) -> None:
        """Told by the export."""
        self._matched = matched

    def document(self) -> list[dict[str, Any]]:
        """The same as data: for each component its files and every tensor that does not match."""
        return [
            {
                "component": matched.component,
                "files": {self._label(file): count for file, count in matched.files().items()},
                **{kind: matched.named(kind) for kind in matched.counts()},
            }
            for matched in self._matched
        ]

    def print(self, console: Console) -> None:
        """Write the table; nothing where there was no checkpoint."""
        from rich import box
        from rich.table import Table

        if not self._matched:
            return
        table = Table(box=box.SIMPLE_HEAD)
        table.add_column("weights")
        table.add_column("tensors", justify="right")
        table.add_column("from", overflow="fold")
        for matched in self._matched:
            for file, count in matched.files().items():
                table.add_row(matched.component, str(count), self._label(file))
            for kind, count in matched.counts().items():
                if count:
                    table.add_row(matched.component, str(count), self._mismatch(matched, kind))
        console.print(table)

    def _mismatch(self, matched: Matched, kind: Mismatch) -> str:
        names = matched.named(kind)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        end = "made from the seed" if kind == "missing" else "left out"
        said = f", accepted: {end}" if kind in self._accepted else ""
        return f"{_WORDS[kind]}{said}: {', '.join(names[:_NAMED])}{more}"

    def _label(self, file: Path) -> str:
        inside = self._folder is not None and file.is_relative_to(self._folder)
        return file.relative_to(self._folder).as_posix() if inside and self._folder is not None else str(file)
