"""`vsrt demo`: export a small model, run one step on a real scene, show where the pictures are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from videoscene_rt.engines.manifest import Provenance


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the bundle, the videos, the contact sheet and the report.")
    ] = Path("out/demo"),
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Export the bundle again, whatever is in the folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Export the preset tiny and run it on a real scene, on the CPU.

    It writes the pictures and the report of a run.

    The bundle is kept in the folder and used again if it is whole and was made by the packages that are installed.
    """
    from videoscene_rt.cli import console
    from videoscene_rt.cli.run_step import RunRequest, print_run, run_step
    from videoscene_rt.environment import require
    from videoscene_rt.pictures.report import plain
    from videoscene_rt.pictures.run_folder import check_run
    from videoscene_rt.scenes.middlebury import demo_scene

    check_run(out, RunRequest.fps)
    require("onnxruntime", "cpu")
    bundle = out / "tiny.bundle"
    scene, source = demo_scene()
    if not as_json:
        console.RESULT.print(f"scene: {source}", soft_wrap=True)
    found = None if fresh else _usable(bundle)
    if found is None:
        _export(bundle, quiet=as_json)
    elif not as_json:
        console.RESULT.print(f"using the bundle of {found.created}; --fresh exports it again", soft_wrap=True)
    report = run_step(RunRequest(bundle=bundle, scene=scene, source=source, out=out, seed=seed, quiet=as_json))
    if as_json:
        console.print_json(plain(report))
    else:
        print_run(report, out)
        console.RESULT.print(f"  {bundle}", soft_wrap=True)


def _usable(folder: Path) -> Provenance | None:
    """Where a whole bundle of today's preset and weights is from, if it was made by this version and the packages installed here."""
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.errors import InputError
    from videoscene_rt.environment import version
    from videoscene_rt.export.presets import load_preset
    from videoscene_rt.export.trained import shipped

    if not folder.exists():
        return None
    try:
        manifest = Bundle.open(folder).manifest
    except InputError:
        return None
    made_by = manifest.provenance.versions
    # What is not installed here is no sign of another version: the bundle may have been brought from elsewhere.
    same = all(version(name) in (None, made) for name, made in made_by.items())
    weights = shipped("tiny")
    same &= manifest.provenance.checkpoint_sha256 == (None if weights is None else weights.sha256)
    return manifest.provenance if same and manifest.preset == load_preset("tiny") else None


def _export(bundle: Path, quiet: bool) -> None:
    from videoscene_rt.cli.export import export_with_progress, require_export

    require_export()
    from videoscene_rt.export.presets import load_preset
    from videoscene_rt.export.request import ExportRequest
    from videoscene_rt.export.trained.opening import shipped_folder

    request = ExportRequest(load_preset("tiny"), bundle, shipped_folder("tiny"), force=bundle.exists())
    export_with_progress(request, quiet=quiet)
