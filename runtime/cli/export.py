"""`vsrt export`: a preset and a checkpoint become a bundle."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from videoscene_rt.engines.manifest import Manifest
    from videoscene_rt.engines.preset import Preset


def export(
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    preset: Annotated[
        str,
        typer.Option(
            metavar="tiny|edge|videoscene-5b|FILE.json", help="The sizes; a file of yours: docs/checkpoint.md."
        ),
    ] = "tiny",
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder in diffusers' layout; without it the weights are untrained, from --seed."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For weights that come from no checkpoint.")] = 0,
    noise_timestep: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Use a constant policy with this candidate N (the timestep is t = N − 1) instead of the policy net.",
        ),
    ] = None,
    rounding: Annotated[
        str | None,
        typer.Option(
            metavar="exact|bfloat16",
            help="Of the schedule; bfloat16 rounds as the published code does in that dtype. The preset's if not given.",
        ),
    ] = None,
    point_radius: Annotated[int | None, typer.Option(help="A point covers a square of 2·radius+1 pixels.")] = None,
    near: Annotated[float | None, typer.Option(metavar="METRES", help="Points nearer than this are dropped.")] = None,
    background: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="Colour of holes, each value from 0 to 255.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the parity figures as one JSON document.")] = False,
) -> None:
    """Trace every graph, prove it against torch, write a bundle."""
    from videoscene_rt.cli import console

    require_export()
    from videoscene_rt.cli.export_options import adjusted, check_noise_timestep
    from videoscene_rt.export.presets import load_preset

    check_noise_timestep(noise_timestep)
    chosen = adjusted(load_preset(preset), rounding, point_radius, near, background)
    timestep = None if noise_timestep is None else noise_timestep - 1
    manifest = export_with_progress(chosen, out, checkpoint, seed, timestep, force, quiet=as_json)
    if as_json:
        console.print_json(
            {
                "bundle": str(out),
                "preset": chosen.name,
                "policy": manifest.policy.model_dump(),
                "chain_parity": manifest.chain_parity.model_dump(),
                "graphs": {name: graph.parity.model_dump() for name, graph in manifest.graphs.items()},
            }
        )
        return
    worst = max(manifest.chain_parity.relative_l2.values())
    console.RESULT.print(
        f"{out}: {len(manifest.graphs)} graphs, each proved against torch; "
        f"the chain is within {worst:.1e} (relative L2) of the published step",
        soft_wrap=True,
    )
    if manifest.provenance.weights == "seed":
        console.RESULT.print("note: the weights are untrained (made from a seed): refined videos will be noise")
    elif manifest.policy.kind == "constant" and noise_timestep is None and manifest.policy.chosen is not None:
        console.RESULT.print(
            f"note: {checkpoint} has no policy.safetensors: the policy is constant at t = {manifest.policy.chosen}; "
            "--noise-timestep chooses another candidate",
            soft_wrap=True,
        )
    console.RESULT.print(f"see vsrt inspect {out}", soft_wrap=True)


def require_export() -> None:
    """Refuse where the export cannot run.

    Raises:
        BackendError: Python is older than 3.11, or a package is not installed.
    """
    import platform

    from videoscene_rt.engines.errors import BackendError
    from videoscene_rt.environment import require

    if sys.version_info < (3, 11):
        raise BackendError(
            f"exporting needs Python 3.11 or newer; this is {platform.python_version()}",
            "export on another machine: bundles are the same everywhere",
        )
    for module in ("torch", "diffusers", "onnx", "onnxscript", "onnx_ir", "ml_dtypes", "safetensors"):
        require(module, "export")
    require("onnxruntime", "cpu")  # to prove the graphs on; [export] names none, since the GPU builds serve as well


def export_with_progress(
    preset: Preset,
    out: Path,
    checkpoint: Path | None = None,
    seed: int = 0,
    constant_timestep: int | None = None,
    force: bool = False,
    *,
    quiet: bool = False,
) -> Manifest:
    """`export_bundle` with a progress bar; see there for what it raises."""
    from videoscene_rt.cli import console

    with console.progress(f"exporting {preset.name}", None if quiet else 10, quiet=quiet) as step:
        step(0, "loading torch")
        from videoscene_rt.export.bundle_export import ExportRequest, export_bundle

        def on_step(what: str, done: int, total: int) -> None:
            step(1 if done else 0, what)

        request = ExportRequest(
            preset=preset,
            out=out,
            checkpoint=checkpoint,
            seed=seed,
            constant_timestep=constant_timestep,
            force=force,
            command=shlex.join(["vsrt", *sys.argv[1:]]),
        )
        return export_bundle(request, on_step)
