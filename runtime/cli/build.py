"""`vsrt build`: every graph of a bundle becomes an engine that was held against the FP32 reference."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from videoscene_rt.engines.building.build import BuildReport, BuildRequest, GraphReport
    from videoscene_rt.engines.bundle import Bundle
    from videoscene_rt.engines.store.ahead import DigestsAhead

_SWITCH_S = 0.0005


def build(
    bundle: Annotated[Path, typer.Argument(help="The bundle, from vsrt export.")],
    backend: Annotated[
        str, typer.Option(metavar="onnxruntime|onnxruntime-cuda|tensorrt|tensorrt-rtx", help="What runs the graphs.")
    ] = "onnxruntime",
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16|int8", help="A ceiling; the recipe gives each graph its own under it.")
    ] = "fp32",
    scenes: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A scene folder to calibrate and gate on; once for each. Built-in rooms fill up to three.",
        ),
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(min=1, max=1 << 24, metavar="MIB", help="The most scratch memory a TensorRT layer may take."),
    ] = None,
    level: Annotated[int | None, typer.Option(min=0, max=5, help="TensorRT's builder optimization level.")] = None,
    plugin: Annotated[
        Path | None,
        typer.Option(
            metavar="LIBRARY", help="libvideoscene_rt_plugin.so: our attention inside TensorRT's FP16 and INT8 plans."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="How many engines to make at a time.")] = 1,
    accept: Annotated[bool, typer.Option("--accept", help="Take engines whose gate fails; it is recorded.")] = False,
    no_gate: Annotated[
        bool, typer.Option("--no-gate", help="Store engines without running them; they cannot be loaded until gated.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Build and gate again what fits already.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for another build of this bundle.")] = 600.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for one operator of ONNX Runtime; every core if not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Build a bundle's engines; store those that pass their gate.

    The gate holds each against the FP32 reference, on three scenes or more. What fits already is used again.
    Exit code 3 if an engine is refused by its accuracy gate or cannot be built.
    """
    from videoscene_rt.engines import machine

    if backend != "onnxruntime":
        machine.look_for_gpu()  # beside the imports and the verification of the bundle
    opened, ahead = _open_beside_imports(bundle, (backend, precision))
    from videoscene_rt.cli import console
    from videoscene_rt.engines.building.build import BuildRequest

    request = BuildRequest(
        bundle=opened,
        backend=backend,
        precision=precision,
        workspace_mib=workspace,
        level=level,
        plugin=plugin,
        accept=accept,
        gate=not no_gate,
        force=force,
        threads=threads,
        jobs=jobs,
        lock_timeout_s=wait,
        sha256=ahead,
    )
    report = build_with_progress(request, tuple(scenes or ()), quiet=as_json)
    if as_json:
        console.print_json(as_document(report))
    else:
        _print(report)
    report.check()


def _open_beside_imports(folder: Path, pair: tuple[str, str]) -> tuple[Bundle, DigestsAhead]:
    """The bundle, its digests and those of the pair's engines taken by other threads while this one imports what a build needs: with
    nothing to build, that is all there is to wait for."""
    from concurrent.futures import ThreadPoolExecutor

    from videoscene_rt.engines.bundle import Bundle

    with _switching(), ThreadPoolExecutor() as pool:
        opening = pool.submit(Bundle.open, folder)
        from videoscene_rt.engines.store.ahead import DigestsAhead, files_in_use

        ahead = DigestsAhead(pool, files_in_use(folder, *pair))
        import videoscene_rt.chain.recording
        import videoscene_rt.chain.recording_scenes
        import videoscene_rt.cli.console
        import videoscene_rt.engines.building.build  # noqa: F401

        return opening.result(), ahead


@contextmanager
def _switching() -> Iterator[None]:
    """Let a thread that has hashed a piece of a file begin the next one soon: an import keeps Python's lock for a whole interval."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def build_with_progress(request: BuildRequest, scenes: tuple[Path, ...] = (), *, quiet: bool = False) -> BuildReport:
    """`build_bundle` on the user's or the built-in scenes, with a progress bar; see there for what it raises."""
    from videoscene_rt.chain.recording import Recording
    from videoscene_rt.chain.recording_scenes import LEAST_SCENES, scene_sources
    from videoscene_rt.cli import console
    from videoscene_rt.engines.building.build import build_bundle

    sources = scene_sources(request.bundle.manifest.preset, scenes)
    added = [source.name for source in sources if source.built_in]
    if scenes and added and not quiet:
        words = f"note: at least {LEAST_SCENES} different scenes are needed; added {', '.join(added)}"
        console.STATUS.print(words, soft_wrap=True)
    label = f"building {request.backend} engines in {request.precision}"
    with console.progress(label, len(request.bundle.manifest.graphs) + 1, quiet=quiet) as step:
        reached = 0.0

        def on_progress(what: str, done: float) -> None:
            nonlocal reached
            step(max(0.0, done - reached), what)
            reached = max(reached, done)

        def on_scene(what: str) -> None:
            step(0, what)

        recording = Recording(request.bundle, sources, request.threads, on_scene)
        try:
            return build_bundle(request, recording, on_progress)
        finally:
            recording.close()


def as_document(report: BuildReport) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "bundle": str(report.request.bundle.folder),
        "backend": report.request.backend,
        "precision": report.request.precision,
        "scenes": list(report.scenes),
        "seconds": report.seconds,
        "graphs": {
            graph.graph: {
                "precision": graph.precision,
                "outcome": graph.outcome,
                "route": graph.route,
                "folder": graph.folder,
                "note": graph.note,
                "seconds": graph.seconds,
                "gate": None if graph.gated is None else graph.gated.model_dump(mode="json"),
                "layers": [layer.model_dump(mode="json") for layer in graph.layers],
            }
            for graph in report.graphs
        },
        "chain": report.chain.model_dump(mode="json"),
    }


def _print(report: BuildReport) -> None:
    from videoscene_rt.cli import console
    from videoscene_rt.cli.engine_table import Row, print_engines

    request = report.request
    if all(graph.outcome == "source" for graph in report.graphs):
        console.RESULT.print(
            f"{request.backend} in {request.precision} runs the bundle's own graphs, the reference: there is nothing to build",
            soft_wrap=True,
        )
        return
    rows = [
        Row(graph.graph, graph.precision, _engine(graph), graph.gated, graph.seconds or None) for graph in report.graphs
    ]
    rows.append(Row("the whole step", request.precision, "", report.chain, None))
    gated = f", gated on {', '.join(report.scenes)}" if report.chain.result is not None else ""
    print_engines(f"{request.backend} in {request.precision}{gated}", rows)
    for graph in report.graphs:
        if graph.outcome == "host":
            console.RESULT.print(
                f"note: graph {graph.graph} runs on the CPU, on ONNX Runtime (host): {graph.note}",
                soft_wrap=True,
            )
        elif graph.note:
            console.RESULT.print(f"note: graph {graph.graph} does not use the plug-in: {graph.note}", soft_wrap=True)
    if any(
        gated is not None and gated.status == "not run" for gated in (*(g.gated for g in report.graphs), report.chain)
    ):
        console.RESULT.print(
            "note: what was not gated cannot be loaded; the same command without --no-gate, on the device, gates it",
            soft_wrap=True,
        )


def _engine(graph: GraphReport) -> str:
    """Where it came from, and how it runs where that is not by an engine of the backend's own."""
    told = graph.outcome in ("built", "reused") and graph.route != "engine"
    return f"{graph.outcome}, {graph.route}" if told else graph.outcome
