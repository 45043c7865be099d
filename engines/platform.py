"""What runs engines here: each backend's package, the version installed, and the device. Nothing heavy is imported to know."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from videoscene_rt.engines import machine
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.processor import processor
from videoscene_rt.engines.tensorrt.capabilities import Capabilities, capabilities

PORTABLE = "any"
"""The device of an engine that is not built for one GPU (TensorRT-RTX finishes its kernels when it loads)."""


@dataclass(frozen=True)
class BackendKind:
    """What is known of a backend before anything of it is imported.

    Attributes:
        name: as the command line spells it.
        module: what Python imports; distributions: what may provide it, the first that is installed gives the version.
        without: distributions that provide the module without what this backend needs, and overwrite those that have it.
        extra: the extra of videoscene-rt that brings it.
        device: where its buffers live.
        engine_file: what its engines are called in the store.
        portable: an engine is not built for one GPU.
    """

    name: str
    module: Literal["onnxruntime", "tensorrt", "tensorrt_rtx"]
    distributions: tuple[str, ...]
    extra: str
    device: Literal["cpu", "cuda"]
    engine_file: str
    portable: bool = False
    without: tuple[str, ...] = ()


KINDS = {
    kind.name: kind
    for kind in (
        BackendKind(
            "onnxruntime",
            "onnxruntime",
            ("onnxruntime", "onnxruntime-gpu"),
            "cpu",
            device="cpu",
            engine_file="engine.onnx",
        ),
        BackendKind(
            "onnxruntime-cuda",
            "onnxruntime",
            ("onnxruntime-gpu",),
            "ort-cuda",
            device="cuda",
            engine_file="engine.onnx",
            without=("onnxruntime",),
        ),
        BackendKind(
            "tensorrt",
            "tensorrt",
            ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt-cu11", "tensorrt-bindings"),
            "tensorrt",
            device="cuda",
            engine_file="engine.plan",
        ),
        BackendKind(
            "tensorrt-rtx",
            "tensorrt_rtx",
            ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt-rtx"),
            "tensorrt-rtx",
            device="cuda",
            engine_file="engine.plan",
            portable=True,
        ),
    )
}


@dataclass(frozen=True)
class Platform:
    """A backend on this machine.

    ``device`` and ``compute_capability`` are what it runs on ("cpu" and `processor` on the CPU; None and None without a GPU);
    ``built_for`` and ``built_capability`` are what an engine built here says it is for.
    """

    kind: BackendKind
    version: str
    device: str | None
    compute_capability: str | None

    @property
    def can(self) -> Capabilities | None:
        """What this version of TensorRT can; None for ONNX Runtime.

        Raises:
            BackendError: the version is not supported.
        """
        if self.kind.module == "onnxruntime":
            return None
        return capabilities(self.kind.module, self.version)

    @property
    def built_for(self) -> str | None:
        """The device in the identity of an engine that is built here; None where none can be built."""
        return PORTABLE if self.kind.portable else self.device

    @property
    def built_capability(self) -> str | None:
        """The compute capability in the identity of an engine that is built here; None where it is the same file on another one."""
        return None if self.kind.portable or self.kind.device == "cpu" else self.compute_capability

    @property
    def cannot_run(self) -> str:
        """Why no engine can run here, in words; "" if one can."""
        if self.device is None:
            return f"{self.kind.name} needs an NVIDIA GPU, and this machine shows none"
        runs_on = None if self.can is None else self.can.compute_capabilities
        if runs_on is not None and self.compute_capability not in runs_on:
            return (
                f"engines of {self.kind.name} run on compute capability {', '.join(runs_on)}; "
                f"{self.device} has {self.compute_capability}"
            )
        return ""

    @property
    def cannot_build(self) -> str:
        """Why no engine can be built here, in words; "" if one can."""
        return self.cannot_run if self.built_for is None else ""


def platform(backend: str) -> Platform:
    """Look at what a backend would run on here.

    Raises:
        BackendError: there is no such backend, or its package is not installed.
    """
    kind = KINDS.get(backend)
    if kind is None:
        raise BackendError(f"backend {backend!r} is not to be had in this version; it has {', '.join(KINDS)}")
    version = _version(kind)
    if kind.device == "cpu":
        return Platform(kind, version, "cpu", processor())
    gpu = machine.gpu()
    return Platform(kind, version, gpu.name if gpu else None, gpu.compute_capability if gpu else None)


def _version(kind: BackendKind) -> str:
    for distribution in kind.distributions:
        if (version := _installed(distribution)) is not None:
            return version
    for distribution in kind.without:
        if (version := _installed(distribution)) is not None:
            raise BackendError(
                f"{distribution} {version} is installed, without what {kind.name} needs, in the place of {kind.distributions[0]}: "
                "each overwrites the other's files",
                f"pip uninstall -y {distribution} {kind.distributions[0]} && pip install 'videoscene-rt[{kind.extra}]'",
            )
    try:
        # JetPack's system packages bring no metadata: only then is the module itself asked.
        return str(importlib.import_module(kind.module).__version__)
    except (ImportError, AttributeError) as error:
        raise BackendError(
            f"the package {kind.module} is not installed", f"pip install 'videoscene-rt[{kind.extra}]'"
        ) from error


def _installed(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
