"""`vsrt run`: one step on a scene folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def run(
    bundle: Annotated[Path, typer.Argument(help="The bundle, from vsrt export.")],
    scene: Annotated[Path, typer.Option(help="Scene folder with scene.json (see docs/scene-format.md).")],
    out: Annotated[Path, typer.Option(help="Folder for coarse.mp4, refined.mp4, contact_sheet.png and report.json.")],
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    noise: Annotated[
        str,
        typer.Option(
            metavar="mean|published",
            help="mean: posterior means, only ε is drawn. published: all that the published code draws.",
        ),
    ] = "mean",
    noise_timestep: Annotated[
        int | None, typer.Option(help="N in 1…1000: fix the timestep t = N − 1 instead of asking the policy.")
    ] = None,
    backend: Annotated[
        str, typer.Option(metavar="onnxruntime|onnxruntime-cuda|tensorrt|tensorrt-rtx", help="What runs the graphs.")
    ] = "onnxruntime",
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16|int8", help="A ceiling; the recipe gives each graph its own under it.")
    ] = "fp32",
    threads: Annotated[
        int | None,
        typer.Option(
            help="Threads for one operator on the CPU, at most four times the cores; every core if not given."
        ),
    ] = None,
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Decode chunk by chunk; report.json says when each chunk's frames were ready."),
    ] = False,
    encoder: Annotated[
        str | None, typer.Option(metavar="full|tiny", help="Of a bundle that has both; its first if not given.")
    ] = None,
    decoder: Annotated[str | None, typer.Option(metavar="full|tiny", help="Likewise.")] = None,
    fps: Annotated[float, typer.Option(help="Frames per second of the videos.")] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Refine one scene: one step, two videos, a sheet, a report."""
    from videoscene_rt.cli import console
    from videoscene_rt.cli.run_step import RunRequest, print_run, run_step
    from videoscene_rt.pictures.report import plain
    from videoscene_rt.pictures.run_folder import check_run
    from videoscene_rt.scenes.scene import Scene
    from videoscene_rt.scenes.scene_folder import image_files

    check_run(out, fps)
    report = run_step(
        RunRequest(
            bundle=bundle,
            scene=Scene.load(scene),
            source=str(scene),
            images=image_files(scene),
            out=out,
            seed=seed,
            noise=noise,
            backend=backend,
            precision=precision,
            threads=threads,
            noise_timestep=noise_timestep,
            stream=stream,
            encoder=encoder,
            decoder=decoder,
            fps=fps,
            quiet=as_json,
        )
    )
    if as_json:
        console.print_json(plain(report))
    else:
        print_run(report, out)
