"""`vsrt export`: a preset and a checkpoint become a bundle."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from videoscene_rt.engines.manifest import Manifest
    from videoscene_rt.engines.preset import Preset
    from videoscene_rt.export.matching import Matched
    from videoscene_rt.export.request import ExportRequest, KeptHalf, ProofKind, WeightDType


def export(
    out: Annotated[Path, typer.Option(help="The bundle to write.")],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="tiny|edge|videoscene-5b|FILE.json",
            help="The sizes; a file of yours: docs/checkpoint.md. Without it the checkpoint's own, or tiny.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Folder in diffusers' layout, instead of the weights that come with the preset."),
    ] = None,
    student: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors", help="The student's tensors, over the checkpoint's; may be only some."
        ),
    ] = None,
    prompt_embeds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The prompt's embedding (.pt or .safetensors).")
    ] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE.safetensors", help="The policy net.")] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="full|tiny|both",
            help="Which encoder the bundle keeps; with both, the full one runs by default. The preset's own if not given.",
        ),
    ] = None,
    decoder: Annotated[
        str | None, typer.Option(metavar="full|tiny|both", help="Which decoder the bundle keeps, likewise.")
    ] = None,
    tiny_autoencoder: Annotated[
        Path | None,
        typer.Option(metavar="FILE.safetensors", help="The tiny autoencoder, in the published layout (taecvx)."),
    ] = None,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="missing|unexpected|misshapen",
            help="Tensors that do not match, and are no error: made from the seed, or left out. May be repeated.",
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(help="Of the video, 8k+1; the preset's or checkpoint's if not given.")
    ] = None,
    height: Annotated[int | None, typer.Option(help="Of the video, a multiple of 16 pixels.")] = None,
    width: Annotated[int | None, typer.Option(help="Of the video, a multiple of 16 pixels.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Untrained weights from this seed; the default, with seed 0, where a preset comes with none. "
            "With --checkpoint: what --accept missing lets be missing.",
        ),
    ] = None,
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
    proof: Annotated[
        str,
        typer.Option(
            metavar="auto|whole|twin",
            help="How the graphs are proved: each in its own size with the models in memory, or a layer at a time over a "
            "smaller picture, in 2 GiB (docs/published.md).",
        ),
    ] = "auto",
    weights_dtype: Annotated[
        str | None,
        typer.Option(
            metavar="float32|float16|bfloat16",
            help="Of weights from a seed (float32 if not given); a checkpoint's are stored in its own.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the parity figures as one JSON document.")] = False,
) -> None:
    """Trace every graph, prove it against torch, write a bundle."""
    from videoscene_rt.cli import console

    require_export()
    from videoscene_rt.cli.export_options import adjusted, check_choice, check_noise_timestep
    from videoscene_rt.cli.export_weights import WeightsTable, accepted_mismatches
    from videoscene_rt.engines.errors import InputError
    from videoscene_rt.export.request import KEPT_HALVES, PROOFS, WEIGHT_DTYPES, ExportRequest
    from videoscene_rt.export.trained.opening import shipped_folder

    check_noise_timestep(noise_timestep)
    check_choice("--proof", proof, PROOFS)
    for option, half in (("--encoder", encoder), ("--decoder", decoder)):
        check_choice(option, half or "full", KEPT_HALVES)
    check_choice("--weights-dtype", weights_dtype or "float32", WEIGHT_DTYPES)
    accepted = accepted_mismatches(accept)
    sizes = _sizes(preset, checkpoint, policy, (frames, height, width))
    if all(given is None for given in (checkpoint, seed, student, prompt_embeds, policy, tiny_autoencoder)):
        checkpoint = shipped_folder(preset or "tiny")
    if weights_dtype is not None and checkpoint is not None:
        raise InputError(
            "--weights-dtype is for weights from a seed; these have a dtype of their own",
            "add --seed N, or leave it out",
        )
    request = ExportRequest(
        preset=adjusted(sizes, rounding, point_radius, near, background),
        out=out,
        checkpoint=checkpoint,
        seed=seed or 0,
        constant_timestep=None if noise_timestep is None else noise_timestep - 1,
        force=force,
        student=student,
        prompt_file=prompt_embeds,
        policy_file=policy,
        accepted=accepted,
        seed_dtype=cast("WeightDType", weights_dtype or "float32"),
        proof=cast("ProofKind", proof),
        cut_positions=(frames, height, width) != (None, None, None),
        encoder=cast("KeptHalf | None", encoder),
        decoder=cast("KeptHalf | None", decoder),
        tiny_file=tiny_autoencoder,
    )
    table = WeightsTable(checkpoint, accepted)
    try:
        manifest = export_with_progress(request, table.take, quiet=as_json)
    except BaseException:
        table.print(console.STATUS)
        raise
    if as_json:
        console.print_json(
            {
                "bundle": str(out),
                "preset": manifest.preset.name,
                "weights": table.document(),
                "policy": manifest.policy.model_dump(),
                "chain_parity": manifest.chain_parity.model_dump(),
                "graphs": {name: graph.parity.model_dump() for name, graph in manifest.graphs.items()},
            }
        )
        return
    table.print(console.RESULT)
    worst = max(manifest.chain_parity.relative_l2.values())
    console.RESULT.print(
        f"{out}: {len(manifest.graphs)} graphs, each proved against torch; "
        f"the chain is within {worst:.1e} (relative L2) of the published step",
        soft_wrap=True,
    )
    if manifest.chain_parity.scope:
        console.RESULT.print(f"note: proved {manifest.chain_parity.scope} (docs/published.md)", soft_wrap=True)
    if manifest.provenance.shipped_with is not None:
        console.RESULT.print(f"weights: {manifest.provenance.source}", soft_wrap=True)
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


def _sizes(
    preset: str | None, checkpoint: Path | None, policy: Path | None, video: tuple[int | None, int | None, int | None]
) -> Preset:
    """The preset that was named, else the checkpoint's own, else tiny; with the video's size where it was given."""
    from videoscene_rt.export.presets import load_preset, resized

    if preset is None and checkpoint is not None:
        from videoscene_rt.export.checkpoint import Checkpoint
        from videoscene_rt.export.config_preset import checkpoint_preset

        found = checkpoint_preset(Checkpoint.open(checkpoint, policy_file=policy))
    else:
        found = load_preset(preset or "tiny")
    return found if video == (None, None, None) else resized(found, *video)


def export_with_progress(
    request: ExportRequest,
    on_matched: Callable[[tuple[Matched, ...]], None] | None = None,
    *,
    quiet: bool = False,
) -> Manifest:
    """`export_bundle` with a progress bar; see there for what it raises. The command line is put into the record."""
    from dataclasses import replace

    from videoscene_rt.cli import console
    from videoscene_rt.cli.export_progress import STEPS, ExportProgress

    with console.progress(f"exporting {request.preset.name}", None if quiet else STEPS, quiet=quiet) as step:
        step(0, "loading torch")
        from videoscene_rt.export.bundle_export import export_bundle

        progress = ExportProgress(step)
        recorded = replace(request, command=shlex.join(["vsrt", *sys.argv[1:]]))
        return export_bundle(recorded, progress.step, on_matched, progress.part)
