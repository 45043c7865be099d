"""`vsrt demo`: export a small model, run one step on a real scene, show where the pictures are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from videoscene_rt.engines.bundle import Bundle


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the bundle, the videos, the contact sheet and the report.")
    ] = Path("out/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Export the preset tiny, run the whole chain on a real scene on the CPU, and write pictures and a report.

    The bundle is kept in the folder and used again if it is whole.
    """
    from videoscene_rt.cli import console
    from videoscene_rt.cli.run_step import RunRequest, print_run, run_step
    from videoscene_rt.environment import require
    from videoscene_rt.pictures.report import plain
    from videoscene_rt.scenes.middlebury import demo_scene

    require("onnxruntime", "cpu")
    bundle = out / "tiny.bundle"
    scene, source = demo_scene()
    if not as_json:
        console.RESULT.print(f"scene: {source}", soft_wrap=True)
    if not _usable(bundle):
        _export(bundle, quiet=as_json)
    report = run_step(RunRequest(bundle=bundle, scene=scene, source=source, out=out, seed=seed, quiet=as_json))
    if as_json:
        console.print_json(plain(report))
    else:
        print_run(report, out)
        console.RESULT.print(f"  {bundle}", soft_wrap=True)


def _usable(folder: Path) -> bool:
    """There is a whole bundle of today's preset, made by this version."""
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.errors import InputError
    from videoscene_rt.environment import own_version
    from videoscene_rt.export.presets import load_preset

    if not folder.exists():
        return False
    try:
        bundle: Bundle = Bundle.open(folder)
    except InputError:
        return False
    made_by = bundle.manifest.provenance.versions.get("videoscene-rt")
    return bundle.manifest.preset == load_preset("tiny") and made_by == own_version()


def _export(bundle: Path, quiet: bool) -> None:
    from videoscene_rt.cli.export import export_with_progress, require_export

    require_export()
    from videoscene_rt.export.presets import load_preset

    export_with_progress(load_preset("tiny"), bundle, force=bundle.exists(), quiet=quiet)
