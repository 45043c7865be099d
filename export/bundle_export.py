"""The whole export: models → graphs traced and proved → the chain proved → a bundle, renamed into place when it is whole."""

from __future__ import annotations

import datetime
import math
import platform
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from videoscene_rt.engines.bundle_writer import BundleWriter
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import FileEntry, Manifest, PolicyInfo, Provenance, TensorFile
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.kept import kept_halves
from videoscene_rt.export.matching import Matched
from videoscene_rt.export.memory import give_back
from videoscene_rt.export.models import Models, build_filled, build_shells
from videoscene_rt.export.needs import proved_whole, require_memory, require_space, takes_little
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.proof import Proof, WholeProof
from videoscene_rt.export.request import ExportRequest
from videoscene_rt.export.sources import weight_sources
from videoscene_rt.export.tensor_source import DTYPES
from videoscene_rt.export.tracing import OPSET, structure
from videoscene_rt.export.trained import preset_of
from videoscene_rt.export.twin_proof import OnPart, TwinProof
from videoscene_rt.export.weights import WeightFile

PROMPT_FILE = "prompt.npy"
_PACKAGES = ("videoscene-rt", "torch", "diffusers", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "numpy")


OnStep = Callable[[str, int, int], None]
OnMatched = Callable[[tuple[Matched, ...]], None]


def export_bundle(
    request: ExportRequest,
    on_step: OnStep | None = None,
    on_matched: OnMatched | None = None,
    on_part: OnPart | None = None,
) -> Manifest:
    """Export a bundle.

    Args:
        request: what and where to.
        on_step: told (what is being done, steps done, steps in all).
        on_matched: told which file each tensor comes from, before anything that does not match is refused.
        on_part: told (what, done, in all, unit: "bytes" or "pieces") within a step that takes long.

    Raises:
        InputError: the checkpoint or the target is wrong.
        BackendError: this machine cannot do it.
        ParityError: a traced graph does not compute what torch does; nothing is left behind.
    """
    tell = on_step or (lambda what, done, total: None)
    part = on_part or (lambda what, done, total, unit: None)
    with BundleWriter(request.out, request.force) as writer:
        tell("building the models", 0, 1)
        checkpoint = open_checkpoint(request)
        preset, kept = kept_halves(request, None if checkpoint is None else checkpoint.tiny_autoencoder())
        weights = weight_sources(
            preset,
            checkpoint,
            request.seed,
            request.constant_timestep,
            request.cut_positions,
            request.seed_dtype,
            on_matched,
        )
        whole = request.proof == "whole" or (request.proof == "auto" and proved_whole(preset))
        if whole:
            require_memory(preset)
        models = (build_filled if whole else build_shells)(preset, weights, request.constant_timestep)
        require_space(writer.folder, models)
        sources = [*chain_graphs(models, preset), *autoencoder_graphs(models, preset, kept)]
        proof: Proof
        if whole:
            proof = WholeProof(models, preset, sources, writer.folder, kept)
        else:
            proof = TwinProof(preset, weights, request.constant_timestep, writer.folder, part, kept)
        total = len(sources) + 1
        files = _weight_files(models, sources, writer.folder)
        graphs = {}
        for done, source in enumerate(sources):
            tell(f"tracing {source.name}", done, total)
            graphs[source.name] = _export_graph(source, writer.folder, files[source.weights], proof, part)
            if not takes_little(preset):
                give_back()
        tell("proving the chain", total - 1, total)
        chain = proof.chain()
        proof.close()
        np.save(writer.folder / PROMPT_FILE, models.prompt.numpy(), allow_pickle=False)
        provenance = _provenance(request, checkpoint, models)

        def manifest(entries: dict[str, FileEntry]) -> Manifest:
            return Manifest(
                preset=preset,
                encoders=kept.encoders,
                decoders=kept.decoders,
                graphs=graphs,
                policy=PolicyInfo(
                    kind="ddpnet" if isinstance(models.policy, DDPNet) else "constant",
                    timesteps=preset.policy.timesteps,
                    chosen=None if isinstance(models.policy, DDPNet) else models.policy.chosen,
                ),
                prompt_file=PROMPT_FILE,
                chain_parity=chain,
                files=entries,
                provenance=provenance,
            )

        written = writer.finish(manifest, lambda count, size: part("digesting the bundle", count, size, "bytes"))
        tell("done", total, total)
        return written


def open_checkpoint(request: ExportRequest) -> Checkpoint | None:
    """The checkpoint of a request with what goes over it; None for weights from the seed.

    Raises:
        InputError: a file is not there, or there is a file without a folder that it could go over.
    """
    over = {"--student": request.student, "--prompt-embeds": request.prompt_file, "--policy": request.policy_file}
    if request.checkpoint is not None:
        return Checkpoint.open(
            request.checkpoint,
            request.student,
            request.prompt_file,
            request.policy_file,
            request.accepted,
            request.tiny_file,
        )
    over["--tiny-autoencoder"] = request.tiny_file
    for option, file in over.items():
        if file is not None:
            raise InputError(
                f"{option} goes over a checkpoint, and none was given", "name its folder with --checkpoint"
            )
    return None


def _weight_files(models: Models, sources: list[GraphSource], folder: Path) -> dict[str, WeightFile]:
    families = dict.fromkeys(source.weights for source in sources)
    return {name: WeightFile(folder, f"weights_{name}.bin", models.dtypes.get(name, "float32")) for name in families}


def _export_graph(source: GraphSource, folder: Path, weights: WeightFile, proof: Proof, part: OnPart) -> GraphSpec:
    path, traced = folder / f"{source.name}.onnx", structure(source)
    matching = proof.matching(traced)
    size = sum(math.prod(view.shape) for view in traced.views.values()) * DTYPES[weights.dtype].itemsize
    written = 0

    def on_bytes(count: int) -> None:
        nonlocal written
        written += count
        part(f"writing {source.name}", written, size, "bytes")

    stored = traced.write(path, weights, on_bytes)
    return GraphSpec(
        name=source.name,
        file=path.name,
        opset=OPSET,
        inputs=source.inputs,
        outputs=source.outputs,
        state=source.state,
        parity=proof.graph(source, path, matching, stored),
    )


def _provenance(request: ExportRequest, checkpoint: Checkpoint | None, models: Models) -> Provenance:
    digest = None if checkpoint is None else checkpoint.digest()
    return Provenance(
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=request.command,
        weights="seed" if checkpoint is None else "checkpoint",
        seed=request.seed,
        checkpoint_sha256=digest,
        shipped_with=None if digest is None else preset_of(digest),
        weights_dtype=models.dtypes,
        tensor_files=tuple(_tensor_files(models, checkpoint)),
        mismatches=_mismatches(models),
        versions=dict(_versions()),
    )


def _tensor_files(models: Models, checkpoint: Checkpoint | None) -> Iterator[TensorFile]:
    if checkpoint is None or models.sources is None:
        return
    for matched in models.sources.matched:
        for file, count in matched.files().items():
            yield TensorFile(component=matched.component, file=checkpoint.label(file), tensors=count)


def _mismatches(models: Models) -> dict[str, dict[str, int]]:
    matches = () if models.sources is None else models.sources.matched
    counts = {matched.component: {str(kind): n for kind, n in matched.counts().items() if n} for matched in matches}
    return {component: found for component, found in counts.items() if found}


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for package in _PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
