"""What `run` and `demo` share: a bundle, a scene, one step, and the folder it writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from videoscene_rt.cli import console
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.halves import HALVES
from videoscene_rt.engines.preset import FAR

if TYPE_CHECKING:
    from videoscene_rt.pictures.report import Checks, FramesReady, PointCounts, Range, RunReport
    from videoscene_rt.pipeline import Pipeline
    from videoscene_rt.result import Result
    from videoscene_rt.scenes.scene import Scene


@dataclass(frozen=True)
class RunRequest:
    """One run.

    Attributes:
        bundle: its folder.
        scene: what to refine; ``source`` says where it is from.
        out: the folder to write.
        images: the scene's two image files in words, name and size; empty where there are none.
        seed, noise, backend, precision, threads: see `Pipeline.load`.
        noise_timestep: N in 1…1000 for a fixed timestep t = N − 1; None lets the policy choose.
        stream: decode chunk by chunk.
        encoder, decoder: see `Pipeline.load`; one decoder.
        fps: of the videos.
        quiet: no progress on standard error.
    """

    bundle: Path
    scene: Scene
    source: str
    out: Path
    seed: int = 0
    noise: str = "mean"
    backend: str = "onnxruntime"
    precision: str = "fp32"
    threads: int | None = None
    noise_timestep: int | None = None
    stream: bool = False
    encoder: str | None = None
    decoder: str | None = None
    fps: float = 8.0
    images: tuple[str, ...] = ()
    quiet: bool = False


def run_step(request: RunRequest) -> RunReport:
    """Load, thin the cloud if it is too large, step once, write the folder, and give the report that was written.

    Raises:
        InputError, BackendError: see `Pipeline.load`, `Pipeline.step` and `write_run`.
    """
    from videoscene_rt.pictures.run_folder import check_run, write_run
    from videoscene_rt.scenes.fit import fit

    if request.noise_timestep is not None and not 1 <= request.noise_timestep <= 1000:
        raise InputError(f"--noise-timestep must be from 1 to 1000, not {request.noise_timestep}")
    if request.decoder is not None and request.decoder not in HALVES:
        raise InputError(f"there is no decoder {request.decoder!r}", f"choose one of {', '.join(HALVES)}")
    check_run(request.out, request.fps)
    chunks: tuple[FramesReady, ...] = ()
    with console.progress("running one step", 4, quiet=request.quiet) as step:
        step(0, "verifying the bundle")
        with _load(request, step) as pipeline:
            step(1)
            scene = request.scene.thinned(pipeline.preset.max_points)
            step(0, "the step")
            if request.stream:
                result, chunks = _streamed(pipeline, scene)
            else:
                result = pipeline.step(scene).host()
            report = _report(request, scene, pipeline, result, chunks)
            _check_finite(report)
            step(1, "writing videos and pictures")
            images = fit(scene, pipeline.preset.height, pipeline.preset.width).images
            title = f"{request.source} · {pipeline.preset.name} · t = {result.timestep} · seed {request.seed}"
            write_run(request.out, result, images, report, fps=request.fps, title=title)
            step(1)
    return report


def _streamed(pipeline: Pipeline, scene: Scene) -> tuple[Result, tuple[FramesReady, ...]]:
    """A streamed step, and when the frames of each chunk were ready; the result stays until the pipeline's next step."""
    from videoscene_rt.pictures.report import FramesReady

    stream = pipeline.stream(scene)
    chunks = tuple(FramesReady(first=one.first, stop=one.stop, ready_ms=one.ready_ms) for one in stream)
    return stream.result().host(), chunks


def _load(request: RunRequest, step: console.Step) -> Pipeline:
    from videoscene_rt.pipeline import Pipeline

    def on_verified(count: int, total: int) -> None:
        step(count / total)

    return Pipeline.load(
        request.bundle,
        request.backend,
        request.precision,
        seed=request.seed,
        noise=request.noise,  # type: ignore[arg-type]  # checked where it is used, with words
        timestep=None if request.noise_timestep is None else request.noise_timestep - 1,
        threads=request.threads,
        encoder=request.encoder,  # type: ignore[arg-type]  # so is this
        decoder=request.decoder,  # type: ignore[arg-type]
        streaming=request.stream,
        on_verified=on_verified,
    )


def _check_finite(report: RunReport) -> None:
    if report.checks.status == "ok" and report.checks.finite:
        return
    wrong = ", ".join(name for name, entry in report.checks.ranges.items() if not entry.finite)
    raise BackendError(
        f"{wrong} is not finite (seed {report.seed}, t = {report.timestep}); nothing was written",
        "check the checkpoint that the bundle was exported from",
    )


def _report(
    request: RunRequest, scene: Scene, pipeline: Pipeline, result: Result, chunks: tuple[FramesReady, ...]
) -> RunReport:
    from videoscene_rt.engines.bundle import MANIFEST_FILE
    from videoscene_rt.engines.digest import file_sha256
    from videoscene_rt.pictures.report import BundleIdentity, Checks, PointCounts, RunReport, SceneFacts
    from videoscene_rt.pictures.run_folder import FILES

    bundle, manifest = pipeline.bundle, pipeline.bundle.manifest
    given = request.scene
    points = PointCounts(given=given.num_points, used=scene.num_points)
    checks = Checks(
        status="ok" if result.status == "ok" else "invalid",
        hole_fraction=tuple(float(mask.mean()) for mask in result.hole_mask),
        ranges=_ranges(request, pipeline, result),
    )
    return RunReport(
        scene=SceneFacts(
            source=request.source,
            images=request.images or tuple(f"{name}, {given.width}×{given.height}" for name in ("first", "last")),
            trajectory="interpolated" if scene.trajectory is None else "given",
        ),
        points=points,
        bundle=BundleIdentity(
            path=str(bundle.folder),
            preset=manifest.preset.name,
            manifest_sha256=file_sha256(bundle.folder / MANIFEST_FILE),
            graphs={name: manifest.files[graph.file].sha256 for name, graph in manifest.graphs.items()},
            weights=manifest.provenance.source,
        ),
        backend=pipeline.backend_name,
        precision=request.precision,
        device=pipeline.device,
        versions={**_versions(), **pipeline.versions},
        seed=request.seed,
        noise=request.noise,
        timestep=result.timestep,
        timings_ms={**result.step.timings_ms, "step": result.step.duration_ms},
        encoder=request.encoder or manifest.encoders[0],
        decoder=pipeline.decoders[0],
        first_frames_ms=chunks[0].ready_ms if chunks else result.step.duration_ms,
        stream=chunks,
        checks=checks,
        files=dict(FILES),
        notes=_notes(points, checks, pipeline),
    )


def _ranges(request: RunRequest, pipeline: Pipeline, result: Result) -> dict[str, Range]:
    from videoscene_rt.pictures.report import Range

    # With a fixed timestep the policy did not run, and its buffer says nothing.
    inner = ("z_r", "z_0") if request.noise_timestep is not None else ("z_r", "logits", "z_0")
    return {
        "coarse": Range.of(result.coarse),
        "depth": Range.of(result.depth),
        **{name: Range.of(pipeline.tensor(name)) for name in inner},
        "refined": Range.of(result.frames),
    }


def _versions() -> dict[str, str]:
    import platform

    import numpy as np

    from videoscene_rt.environment import own_version

    return {"videoscene-rt": own_version(), "python": platform.python_version(), "numpy": np.__version__}


def _notes(points: PointCounts, checks: Checks, pipeline: Pipeline) -> tuple[str, ...]:
    notes = []
    if points.thinned:
        notes.append(
            f"the cloud was thinned evenly from {points.given:,} to {points.used:,} points "
            f"(max_points of preset {pipeline.preset.name})"
        )
    empty = sum(fraction == 1 for fraction in checks.hole_fraction)
    if empty:
        notes.append(
            f"{empty} of {len(checks.hole_fraction)} coarse frames are all holes: none of the points is seen in them "
            f"between near = {pipeline.preset.renderer.near:g} m and {FAR:,.0f} m"
        )
    if pipeline.bundle.manifest.provenance.weights == "seed":
        notes.append("the weights are untrained (made from a seed): the refined video is noise")
    return tuple(notes)


def print_run(report: RunReport, out: Path) -> None:
    """Tell a person what a run did and where its files are."""
    from videoscene_rt.pictures.run_folder import FILES

    holes = report.checks.hole_fraction
    say = console.RESULT.print
    say(
        f"one step of {report.bundle.preset} on {report.backend} ({report.device}): "
        f"{console.milliseconds(report.timings_ms['step'])}, t = {report.timestep}, {report.points.used:,} points, "
        f"holes {100 * min(holes):.1f} to {100 * max(holes):.1f} % of a frame",
        soft_wrap=True,
    )
    if report.stream:
        chunks = ", ".join(f"{chunk.stop} after {console.milliseconds(chunk.ready_ms)}" for chunk in report.stream)
        say(f"frames ready: {chunks}", soft_wrap=True)
    for note in report.notes:
        say(f"note: {note}", soft_wrap=True)
    for name in FILES.values():
        say(f"  {out / name}", soft_wrap=True)
