"""The whole export: models → graphs traced and proved → the chain proved → a bundle, renamed into place when it is whole."""

from __future__ import annotations

import datetime
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
from videoscene_rt.export.chain_parity import prove_chain
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.matching import Matched
from videoscene_rt.export.models import Models, build_models
from videoscene_rt.export.parity import prove
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.request import ExportRequest
from videoscene_rt.export.tracing import OPSET, trace
from videoscene_rt.export.trained import preset_of
from videoscene_rt.export.weights import WeightFile

PROMPT_FILE = "prompt.npy"
_PACKAGES = ("videoscene-rt", "torch", "diffusers", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "numpy")


def export_bundle(
    request: ExportRequest,
    on_step: Callable[[str, int, int], None] | None = None,
    on_matched: Callable[[tuple[Matched, ...]], None] | None = None,
) -> Manifest:
    """Export a bundle.

    Args:
        request: what and where to.
        on_step: told (what is being done, steps done, steps in all).
        on_matched: told which file each tensor comes from, before anything that does not match is refused.

    Raises:
        InputError: the checkpoint or the target is wrong.
        BackendError: this machine cannot do it.
        ParityError: a traced graph does not compute what torch does; nothing is left behind.
    """
    tell = on_step or (lambda what, done, total: None)
    with BundleWriter(request.out, request.force) as writer:
        tell("building the models", 0, 1)
        checkpoint = open_checkpoint(request)
        models = build_models(
            request.preset, checkpoint, request.seed, request.constant_timestep, request.cut_positions, on_matched
        )
        sources = [*chain_graphs(models, request.preset), *autoencoder_graphs(models, request.preset)]
        total = len(sources) + 1
        files = _weight_files(models, sources, writer.folder)
        graphs = {}
        for done, source in enumerate(sources):
            tell(f"tracing and proving {source.name}", done, total)
            graphs[source.name] = _export_graph(source, writer.folder, files[source.weights])
        tell("proving the chain", total - 1, total)
        chain = prove_chain(models, request.preset, sources, writer.folder)
        np.save(writer.folder / PROMPT_FILE, models.prompt.numpy(), allow_pickle=False)
        provenance = _provenance(request, checkpoint, models)

        def manifest(entries: dict[str, FileEntry]) -> Manifest:
            return Manifest(
                preset=request.preset,
                graphs=graphs,
                policy=PolicyInfo(
                    kind="ddpnet" if isinstance(models.policy, DDPNet) else "constant",
                    timesteps=request.preset.policy.timesteps,
                    chosen=None if isinstance(models.policy, DDPNet) else models.policy.chosen,
                ),
                prompt_file=PROMPT_FILE,
                chain_parity=chain,
                files=entries,
                provenance=provenance,
            )

        written = writer.finish(manifest)
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
            request.checkpoint, request.student, request.prompt_file, request.policy_file, request.accepted
        )
    for option, file in over.items():
        if file is not None:
            raise InputError(
                f"{option} goes over a checkpoint, and none was given", "name its folder with --checkpoint"
            )
    return None


def _weight_files(models: Models, sources: list[GraphSource], folder: Path) -> dict[str, WeightFile]:
    families = dict.fromkeys(source.weights for source in sources)
    return {name: WeightFile(folder, f"weights_{name}.bin", models.dtypes.get(name, "float32")) for name in families}


def _export_graph(source: GraphSource, folder: Path, weights: WeightFile) -> GraphSpec:
    path = folder / f"{source.name}.onnx"
    trace(source, path, weights)
    return GraphSpec(
        name=source.name,
        file=path.name,
        opset=OPSET,
        inputs=source.inputs,
        outputs=source.outputs,
        state=source.state,
        parity=prove(source, path),
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
