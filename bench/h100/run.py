"""One session on a GPU machine: ``python -m videoscene_rt.bench.h100.run --work DIR --out DIR``. Standard library only.

It can be called again and again with the same ``--work``: what is done is not done again, what was cut off is. Builds run in the
background and outlive the call. Environment: ``LAB_PYTHON`` starts a Python with TensorRT, ``TORCH_PYTHON`` one with torch,
``ORT_PYTHON`` one with ONNX Runtime for CUDA (default: TORCH_PYTHON); each a command line, videoscene-rt importable in all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from videoscene_rt.bench.h100.phases import PHASES, TIMED, Plan, builds_are_over, wait
from videoscene_rt.bench.h100.tasks import Session


def main(argv: Sequence[str] | None = None) -> int:
    """Run phases until they are over or the time is; put what there is into ``--out``.

    Returns:
        0 where everything that was started is done (a measurement may lack graphs: see the log), 3 where something failed or is
        still to do.
    """
    options = _parser().parse_args(argv)
    session = Session(Path(options.work).resolve(), time.monotonic() + 60 * options.minutes, retry=options.retry)
    plan = _plan(options)
    try:
        for name in options.phases.split(","):
            sys.stdout.write(f"== {name}\n")
            if name in TIMED:
                wait(session, plan)
                if not builds_are_over(session, plan):
                    sys.stdout.write("builds are still running: nothing is timed beside them; call again\n")
                    continue
            PHASES[name](session, plan)
            collect(session, plan, Path(options.out), options.subject)
    finally:
        builds_are_over(session, plan)  # notes those that have ended
        collect(session, plan, Path(options.out), options.subject)
    return 0 if all(session.done(name) for name in session.state) else 3


def collect(session: Session, plan: Plan, out: Path, subject: str) -> None:
    """Four files: the records and the logs as archives, the state, and a table of everything measured so far."""
    out.mkdir(parents=True, exist_ok=True)
    for folder in ("records", "logs"):
        temporary = out / f".{folder}.tmp"
        with tarfile.open(temporary, "w:gz") as archive:
            archive.add(session.work / folder, arcname=folder)
        temporary.replace(out / f"{folder}.tar.gz")
    (out / "state.json").write_text(json.dumps(session.state, indent=1))
    records = sorted(str(path) for path in (session.work / "records").glob("*.json") if ".corrupt." not in path.name)
    tables = []
    for preset in plan.presets:
        mine = [path for path in records if Path(path).name.startswith(f"{Path(preset).stem}.")]
        if mine:
            command = [*plan.lab, "-m", "videoscene_rt.bench.compare", "--subject", subject, *mine]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            tables.append(f"## {Path(preset).stem}\n\n{done.stdout or done.stderr}")
    (out / "table.md").write_text("\n".join(tables))


def _plan(options: argparse.Namespace) -> Plan:
    def python(variable: str, default: str = sys.executable) -> tuple[str, ...]:
        return tuple(shlex.split(os.environ.get(variable, default)))

    return Plan(
        lab=python("LAB_PYTHON"),
        torch=python("TORCH_PYTHON"),
        ort=python("ORT_PYTHON", os.environ.get("TORCH_PYTHON", sys.executable)),
        presets=tuple(options.presets.split(",")),
        backend=options.backend,
        precisions=tuple(options.precisions.split(",")),
        torch_precisions=tuple(options.torch_precisions.split(",")),
        torch_modes=tuple(options.torch_modes.split(",")),
        device=options.device,
        settings=json.loads(options.settings),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="h100.run", description="Build, measure and compare on a GPU machine, in phases."
    )
    parser.add_argument("--work", required=True, help="folder that keeps everything between calls")
    parser.add_argument("--out", required=True, help="folder for the results: four files")
    parser.add_argument("--phases", default=",".join(PHASES), help="comma-separated, in this order")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop after this long")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    parser.add_argument("--presets", default="tiny,edge", help="names or JSON files, smallest first")
    parser.add_argument("--backend", default="tensorrt")
    parser.add_argument("--precisions", default="fp16,int8")
    parser.add_argument("--torch-precisions", default="fp16")
    parser.add_argument("--torch-modes", default="eager,compile,reduce-overhead")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to rehearse")
    parser.add_argument("--settings", default="{}", help="the closed loop's settings, as JSON")
    parser.add_argument("--subject", default="tensorrt", help="whose ratios the table shows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
