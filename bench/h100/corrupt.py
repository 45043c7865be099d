"""Damaged and hostile engines: ``python -m videoscene_rt.bench.h100.corrupt BUNDLE BACKEND PRECISION OUT.json``.

Each case is a copy of the bundle with one engine damaged. A process of its own loads it: it must come back with exit code 3, words on
standard error, no traceback and no signal.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from videoscene_rt.engines.digest import file_sha256

Damage = Callable[[Path, Path], None]
_TIMEOUT_S = 120


def engine_folders(bundle: Path, backend: str, precision: str) -> dict[str, Path]:
    """Folder of each graph's engine in the bundle's store; kernels of ours, and what has no file of its own, are left out."""
    selected = json.loads((bundle / "engines" / "selected.json").read_text())
    graphs = selected["pairs"][f"{backend}/{precision}"]["graphs"]
    folders = {graph: bundle / "engines" / name for graph, name in graphs.items()}
    return {graph: folder for graph, folder in folders.items() if folder.is_dir() and _route(folder) == "engine"}


def _route(folder: Path) -> str:
    return str(json.loads((folder / "record.json").read_text()).get("route", "engine"))


def _truncated(engine: Path, _: Path) -> None:
    data = engine.read_bytes()
    engine.write_bytes(data[: len(data) // 2])


def _empty(engine: Path, _: Path) -> None:
    engine.write_bytes(b"")


def _altered(engine: Path, _: Path) -> None:
    data = bytearray(engine.read_bytes())
    data[len(data) // 2] ^= 0xFF
    engine.write_bytes(data)


def _swapped(engine: Path, other: Path) -> None:
    engine.write_bytes(other.read_bytes())


def _missing(engine: Path, _: Path) -> None:
    engine.unlink()


def _link(engine: Path, other: Path) -> None:
    engine.unlink()
    engine.symlink_to(other.resolve())


def _open_to_all(engine: Path, _: Path) -> None:
    engine.chmod(0o666)


def _another_gpu(engine: Path, _: Path) -> None:
    path = engine.parent / "identity.json"
    identity = json.loads(path.read_text())
    identity["device"] = "NVIDIA Somewhere Else"
    path.write_text(json.dumps(identity))


def _certified(damage: Damage) -> Damage:
    """The damage, and the record's size and digest made to fit it, and no word of which engines the step was gated with: what gets past
    them must fail in the deserialiser, in words."""

    def both(engine: Path, other: Path) -> None:
        damage(engine, other)
        path = engine.parent / "record.json"
        record = json.loads(path.read_text())
        record["files"][engine.name] = {"sha256": file_sha256(engine), "bytes": engine.stat().st_size}
        path.write_text(json.dumps(record))
        path = engine.parent.parent / "selected.json"
        selected = json.loads(path.read_text())
        for pair in selected["pairs"].values():
            pair.pop("engines", None)
        path.write_text(json.dumps(selected))

    return both


def _noise(engine: Path, _: Path) -> None:
    engine.write_bytes(bytes(range(256)) * 64)


CASES: dict[str, Damage] = {
    "truncated": _truncated,
    "empty": _empty,
    "one byte altered": _altered,
    "another graph's": _swapped,
    "missing": _missing,
    "a link": _link,
    "writable by others": _open_to_all,
    "identity of another GPU": _another_gpu,
    "truncated, digest made to fit": _certified(_truncated),
    "empty, digest made to fit": _certified(_empty),
    "noise, digest made to fit": _certified(_noise),
    "another graph's, digest made to fit": _certified(_swapped),
}


def run_case(bundle: Path, backend: str, precision: str, graph: str, damage: Damage) -> dict[str, Any]:
    """Damage a copy and load the graph there.

    Returns:
        ``exit_code`` (negative: killed by a signal), ``message``: standard error's last line, ``refused``: exit code 3 with words and no
        traceback.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy.bundle"
        shutil.copytree(bundle, copy, symlinks=True)
        folders = engine_folders(copy, backend, precision)
        other = next(folder for name, folder in folders.items() if name != graph)
        damage(_engine_file(folders[graph]), _engine_file(other))
        request = Path(scratch) / "request.json"
        settings = {"iterations": 1, "seconds": 0, "warmup_iterations": 0, "warmup_s": 0}
        told = {
            "bundle": str(copy),
            "out": scratch,
            "graphs": [graph],
            "backend": backend,
            "precision": precision,
            "settings": settings,
        }
        request.write_text(json.dumps(told))
        command = [sys.executable, "-m", "videoscene_rt.bench.engine_bench", str(request)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    lines = [line.replace(scratch, "…") for line in done.stderr.strip().splitlines()]
    refused = done.returncode == 3 and bool(lines) and not any("Traceback" in line for line in lines)
    return {"exit_code": done.returncode, "message": lines[-1] if lines else "", "refused": refused}


def _engine_file(folder: Path) -> Path:
    record = json.loads((folder / "record.json").read_text())
    return folder / str(record["engine"])


def main(argv: Sequence[str]) -> int:
    """Every case on one graph of the bundle; 0 where each was refused, 3 otherwise."""
    bundle, backend, precision, out = Path(argv[0]), argv[1], argv[2], Path(argv[3])
    folders = engine_folders(bundle, backend, precision)
    graph = next((name for name in ("student", "policy") if name in folders), next(iter(folders)))
    cases = {name: run_case(bundle, backend, precision, graph, damage) for name, damage in CASES.items()}
    out.write_text(json.dumps({"backend": backend, "precision": precision, "graph": graph, "cases": cases}, indent=1))
    for name, case in cases.items():
        sys.stdout.write(f"{name}: exit code {case['exit_code']}: {case['message']}\n")
    return 0 if all(case["refused"] for case in cases.values()) else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
