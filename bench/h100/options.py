"""The session's command line. Standard library only."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from videoscene_rt.bench.h100.plan import Plan

SESSIONS = {
    "graphs": ("export", "build", "wait", "rebuild", "engines", "torch", "ort", "warm", "corrupt"),
    "chain": ("export", "build", "kernels", "wait", "gputests", "rebuild", "splat", "chain", "torch_step", "equality"),
}
"""The phases of each session, in order."""
_REHEARSAL = {
    "backend": "onnxruntime",
    "precisions": "fp32",
    "torch_precisions": "fp32",
    "torch_modes": "eager",
    "device": "cpu",
    "steps": 20,
    "subject": "onnxruntime",
}


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, Plan]:
    """The options, and the plan that they make."""
    parser = _parser()
    if "--rehearse" in (sys.argv[1:] if argv is None else argv):
        parser.set_defaults(**_REHEARSAL)
    options = parser.parse_args(argv)
    options.phases = SESSIONS[options.session] if options.phases is None else tuple(options.phases.split(","))
    known = {name for names in SESSIONS.values() for name in names}
    for name in options.phases:
        if name not in known:
            parser.error(f"there is no phase {name!r}; there are {', '.join(sorted(known))}")
    return options, _plan(options)


def _plan(options: argparse.Namespace) -> Plan:
    def python(variable: str, default: str = sys.executable) -> tuple[str, ...]:
        return tuple(shlex.split(os.environ.get(variable, default)))

    def words(text: str) -> tuple[str, ...]:
        return tuple(filter(None, text.split(",")))

    return Plan(
        lab=python("LAB_PYTHON"),
        torch=python("TORCH_PYTHON"),
        ort=python("ORT_PYTHON", os.environ.get("TORCH_PYTHON", sys.executable)),
        presets=words(options.presets),
        backend=options.backend,
        precisions=words(options.precisions),
        torch_precisions=words(options.torch_precisions),
        torch_modes=words(options.torch_modes),
        device=options.device,
        settings=json.loads(options.settings),
        source=Path(options.source).resolve(),
        build_options=tuple(shlex.split(options.build_options)),
        beside=options.beside,
        timings=None if options.timings is None else Path(options.timings).resolve(),
        also=tuple(_pair(text) for text in words(options.also)),
        steps=options.steps,
        splat=json.loads(options.splat),
        tests=tuple(shlex.split(options.tests)),
    )


def _pair(text: str) -> tuple[str, str]:
    backend, _, precision = text.partition(":")
    return backend, precision


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="h100.run", description="Build, measure and compare on a GPU machine, in phases."
    )
    parser.add_argument("--work", required=True, help="folder that keeps everything between calls")
    parser.add_argument("--out", required=True, help="folder for the results: three files")
    parser.add_argument("--session", choices=sorted(SESSIONS), default="graphs", help="which phases, in their order")
    parser.add_argument("--phases", help="comma-separated, in this order, in place of the session's")
    parser.add_argument("--minutes", type=float, default=9.0, help="stop after this long")
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    parser.add_argument("--rehearse", action="store_true", help="other defaults: on the CPU, and short")
    parser.add_argument("--presets", default="tiny,edge", help="names or JSON files, smallest first")
    parser.add_argument("--backend", default="tensorrt")
    parser.add_argument("--precisions", default="fp16,int8")
    parser.add_argument("--also", default="", help="more chains, backend:precision, comma-separated")
    parser.add_argument("--build-options", default="", help="more arguments for vsrt build: '--jobs 6 --level 1'")
    parser.add_argument("--beside", action="store_true", help="build the presets beside each other")
    parser.add_argument("--timings", help="folder of timing caches from a former session's results")
    parser.add_argument("--torch-precisions", default="fp16")
    parser.add_argument("--torch-modes", default="eager,compile,reduce-overhead")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to rehearse")
    parser.add_argument("--settings", default="{}", help="the closed loop's settings around one graph, as JSON")
    parser.add_argument("--steps", type=int, default=1000, help="of every series of the whole step")
    parser.add_argument("--source", default=".", help="the checkout, for the phases kernels and gputests")
    parser.add_argument("--splat", default='{"stages": true}', help="the request of splat_bench, as JSON")
    parser.add_argument("--tests", default="", help="arguments for pytest in the phase gputests")
    parser.add_argument("--subject", default="tensorrt", help="whose ratios the table shows")
    return parser
