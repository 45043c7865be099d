"""`vsrt inspect`: what a bundle is, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.halves import Half
    from videoscene_rt.engines.manifest import PolicyInfo
    from videoscene_rt.engines.specs import GraphSpec


def inspect(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    tensors: Annotated[bool, typer.Option("--tensors", help="List every input and output too.")] = False,
    schedule: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw which stage runs on which stream, and what waits for what."),
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(metavar="RECORD.json", help="Draw the schedule to scale, from the times recorded there."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as one JSON document.")] = False,
) -> None:
    """Verify a bundle and show what it is and which engines it has."""
    import json

    from videoscene_rt.cli import console
    from videoscene_rt.cli.inspect_engines import engines_document, print_built
    from videoscene_rt.cli.inspect_memory import memory_document, print_memory
    from videoscene_rt.cli.inspect_schedule import check_schedule, lane_lines, schedule_document, write_picture
    from videoscene_rt.engines.bundle import Bundle

    times = check_schedule(schedule, timeline)
    with console.progress("verifying the bundle", 1, quiet=as_json) as step:
        opened = Bundle.open(bundle, lambda count, total: step(count / total))
    drawn = None if schedule is None else write_picture(opened.manifest, schedule, times)
    if as_json:
        document = {"bundle_sha256": opened.digest, **json.loads(opened.manifest.model_dump_json())}
        lanes = {} if drawn is None else {"schedule": schedule_document(drawn)}
        console.print_json(
            {**document, "engines": engines_document(opened), "memory": memory_document(opened), **lanes}
        )
        return
    _print_summary(opened)
    _print_graphs(opened)
    print_built(opened)
    print_memory(opened)
    if drawn is not None:
        for line in (*lane_lines(drawn), f"  {schedule}"):
            console.RESULT.print(line, soft_wrap=True)
    if tensors:
        for graph in opened.manifest.graphs.values():
            _print_tensors(graph)


def _print_summary(bundle: Bundle) -> None:
    from rich.table import Table

    from videoscene_rt.cli import console

    manifest, preset = bundle.manifest, bundle.manifest.preset
    provenance, student = manifest.provenance, preset.student
    size = sum(entry.bytes for entry in manifest.files.values())
    chain = ", ".join(f"{name} {error:.1e}" for name, error in manifest.chain_parity.relative_l2.items())
    rows = {
        "bundle": f"{bundle.folder} · {len(manifest.files)} files, {console.size(size)}, every SHA-256 verified",
        "digest": bundle.digest,
        "preset": f"{preset.name}: {preset.frames} frames of {preset.height}×{preset.width}, latent {list(preset.latent_shape)}",
        "student": f"{student.blocks} blocks, {student.heads} heads of {student.head_dim}, {student.text_tokens} text tokens",
        "autoencoder": f"{_halves('encoder', manifest.encoders)}, {_halves('decoder', manifest.decoders)}",
        "renderer": f"radius {preset.renderer.radius} px, near {preset.renderer.near} m, "
        f"background {list(preset.renderer.background)}, up to {preset.max_points:,} points",
        "policy": _policy(manifest.policy),
        "schedule": f"SNR shift {preset.schedule.snr_shift}, rounding {preset.schedule.rounding}",
        "chain": f"within relative L2 {chain} of {manifest.chain_parity.reference}"
        + (f"; proved {manifest.chain_parity.scope}" if manifest.chain_parity.scope else ""),
        "weights": provenance.source,
        "made": f"{provenance.created} by {provenance.command}",
        "with": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
    }
    table = Table(box=None, show_header=False)
    for title, text in rows.items():
        table.add_row(title, text)
    console.RESULT.print(table)
    console.RESULT.print()


def _halves(what: str, halves: tuple[Half, ...]) -> str:
    """Which of them are kept, in words: "published decoder (and the tiny one)"."""
    words = {"full": "published", "tiny": "tiny"}
    first, *others = (words[half] for half in halves)
    return f"{first} {what}" + "".join(f" (and the {other} one)" for other in others)


def _policy(policy: PolicyInfo) -> str:
    if policy.chosen is not None:
        return f"constant: always t = {policy.chosen} (noise timestep {policy.chosen + 1})"
    return f"{'policy net' if policy.kind == 'ddpnet' else 'constant'} over t = {', '.join(map(str, policy.timesteps))}"


def _print_graphs(bundle: Bundle) -> None:
    from rich import box
    from rich.table import Table

    from videoscene_rt.cli import console

    table = Table(box=box.SIMPLE_HEAD)
    for heading in (
        "graph",
        "opset",
        "inputs",
        "outputs",
        "worst relative L2",
        "worst output",
        "limit",
        "compared with",
    ):
        table.add_column(heading, overflow="fold")
    for graph in bundle.manifest.graphs.values():
        worst = max(graph.parity.relative_l2, key=lambda name: graph.parity.relative_l2[name])
        table.add_row(
            graph.name,
            str(graph.opset),
            str(len(graph.inputs)),
            str(len(graph.outputs)),
            f"{graph.parity.relative_l2[worst]:.1e}",
            worst,
            f"{graph.parity.limit:.0e}" if graph.parity.limit else "exact",
            graph.parity.reference,
        )
    console.RESULT.print(table)
    for graph in bundle.manifest.graphs.values():
        for what in filter(None, (graph.parity.scope, *(f"{part}: {e:.1e}" for part, e in graph.parity.parts.items()))):
            console.RESULT.print(f"  {graph.name}: proved {what}", soft_wrap=True)


def _print_tensors(graph: GraphSpec) -> None:
    from rich import box
    from rich.table import Table

    from videoscene_rt.cli import console

    table = Table(box=box.SIMPLE_HEAD, title=graph.name, title_justify="left")
    for heading in ("", "name", "dtype", "shape", "unit", "meaning"):
        table.add_column(heading, overflow="fold")
    for direction, specs in (("in", graph.inputs), ("out", graph.outputs)):
        for spec in specs:
            table.add_row(direction, spec.name, spec.dtype, str(list(spec.shape)), spec.unit, spec.meaning)
    console.RESULT.print(table)
