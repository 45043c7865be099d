"""What `run` and `demo` share: a bundle, a scene, one step, and the folder it writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videoscene_rt.cli import console
from videoscene_rt.engines.errors import BackendError, InputError

if TYPE_CHECKING:
    from videoscene_rt.pictures.report import RunReport
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
        seed, noise, backend, precision, threads: see `Pipeline.load`.
        noise_timestep: N in 1…1000 for a fixed timestep t = N − 1; None lets the policy choose.
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
    fps: float = 8.0
    quiet: bool = False


def run_step(request: RunRequest) -> RunReport:
    """Load, thin the cloud if it is too large, step once, write the folder, and give the report that was written.

    Raises:
        InputError, BackendError: see `Pipeline.load`, `Pipeline.step` and `write_run`.
    """
    from videoscene_rt.pictures.run_folder import write_run
    from videoscene_rt.scenes.fit import fit

    if request.noise_timestep is not None and not 1 <= request.noise_timestep <= 1000:
        raise InputError(f"--noise-timestep must be from 1 to 1000, not {request.noise_timestep}")
    with console.progress("running one step", 3, quiet=request.quiet) as step:
        step(0, "verifying and loading the bundle")
        with _load(request) as pipeline:
            scene = _thinned(request.scene, pipeline.preset.max_points)
            step(1, "the step")
            result = pipeline.step(scene)
            if result.status != "ok":
                raise BackendError(
                    f"the student's result is not finite (seed {request.seed}, t = {result.timestep}); nothing was written",
                    "check the checkpoint that the bundle was exported from",
                )
            step(1, "writing videos and pictures")
            report = _report(request, scene, pipeline, result)
            images = fit(scene, pipeline.preset.height, pipeline.preset.width).images
            title = f"{request.source} · {pipeline.preset.name} · t = {result.timestep} · seed {request.seed}"
            write_run(request.out, result, images, report, fps=request.fps, title=title)
            step(1)
    return report


def _load(request: RunRequest) -> Pipeline:
    from videoscene_rt.pipeline import Pipeline

    return Pipeline.load(
        request.bundle,
        request.backend,
        request.precision,
        seed=request.seed,
        noise=request.noise,  # type: ignore[arg-type]  # checked where it is used, with words
        timestep=None if request.noise_timestep is None else request.noise_timestep - 1,
        threads=request.threads,
    )


def _thinned(scene: Scene, limit: int) -> Scene:
    from videoscene_rt.scenes.clouds import thin

    if scene.num_points <= limit:
        return scene
    xyz, rgb = thin(scene.xyz, scene.rgb, limit)
    return replace(scene, xyz=xyz, rgb=rgb)


def _report(request: RunRequest, scene: Scene, pipeline: Pipeline, result: Result) -> RunReport:
    from videoscene_rt.engines.bundle import MANIFEST_FILE
    from videoscene_rt.engines.digest import file_sha256
    from videoscene_rt.pictures.report import BundleIdentity, Checks, PointCounts, Range, RunReport, SceneFacts
    from videoscene_rt.pictures.run_folder import FILES

    bundle, manifest = pipeline.bundle, pipeline.bundle.manifest
    given = request.scene
    return RunReport(
        scene=SceneFacts(
            source=request.source,
            images=(f"first, {given.width}×{given.height}", f"last, {given.width}×{given.height}"),
            trajectory="interpolated" if scene.trajectory is None else "given",
        ),
        points=PointCounts(given=given.num_points, used=scene.num_points),
        bundle=BundleIdentity(
            path=str(bundle.folder),
            preset=manifest.preset.name,
            manifest_sha256=file_sha256(bundle.folder / MANIFEST_FILE),
            graphs={name: manifest.files[graph.file].sha256 for name, graph in manifest.graphs.items()},
            weights=_weights(pipeline),
        ),
        backend=pipeline.backend_name,
        precision=request.precision,
        device=pipeline.device,
        versions=pipeline.versions,
        seed=request.seed,
        noise=request.noise,
        timestep=result.timestep,
        timings_ms={**result.step.timings_ms, "step": result.step.duration_ms},
        checks=Checks(
            hole_fraction=tuple(float(mask.mean()) for mask in result.hole_mask),
            ranges={
                "coarse": Range.of(result.coarse),
                "depth": Range.of(result.depth),
                "refined": Range.of(result.frames),
            },
        ),
        files=dict(FILES),
        notes=_notes(request, scene, pipeline),
    )


def _weights(pipeline: Pipeline) -> str:
    provenance = pipeline.bundle.manifest.provenance
    if provenance.weights == "seed":
        return f"seed {provenance.seed} (untrained)"
    return f"checkpoint {provenance.checkpoint_sha256}"


def _notes(request: RunRequest, scene: Scene, pipeline: Pipeline) -> tuple[str, ...]:
    notes = []
    if scene.num_points < request.scene.num_points:
        notes.append(
            f"the cloud was thinned evenly from {request.scene.num_points:,} to {scene.num_points:,} points "
            f"(max_points of preset {pipeline.preset.name})"
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
    for note in report.notes:
        say(f"note: {note}", soft_wrap=True)
    for name in FILES.values():
        say(f"  {out / name}", soft_wrap=True)
