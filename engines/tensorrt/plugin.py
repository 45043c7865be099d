"""The plug-in in this process: verified, loaded once, and its op found in TensorRT's registry.

Loading runs the library's code, and it stays until the process ends: TensorRT keeps pointers into it. The registry keeps one creator of an
op's name for a process, so a process has one library; every engine that was built with its bytes can use it.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import threading
from typing import Any

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.plugin import Plugin, check_library
from videoscene_rt.engines.store.private_files import read_private
from videoscene_rt.engines.tensorrt.capabilities import Capabilities, Package, open_package
from videoscene_rt.engines.words import one_line

OPERATOR = "VideoSceneAttention"

_LOADING = threading.Lock()
_loaded: dict[str, Any] = {}
"""SHA-256 → handle; one entry at most. A handle that is dropped closes nothing, but it says what is here."""


def load_plugin(package: Package, plugin: Plugin) -> None:
    """Load a plug-in's library into this process, if it is not there yet, and see that TensorRT has its op.

    Args:
        package: which TensorRT.
        plugin: a file that belongs to its owner alone, and its digest.

    Raises:
        BackendError: the file is not what was stored, was built for another TensorRT, cannot be loaded, or this process has another
            library's op. The process goes on in every case.
    """
    with _LOADING:
        if plugin.sha256 in _loaded:
            return
        if _loaded:
            raise BackendError(
                f"{plugin.path} is another plug-in than the one that this process has loaded ({next(iter(_loaded))[:12]}…)",
                "use a process for each, or build both bundles with the same library",
            )
        module, can = open_package(package)
        version = str(module.__version__)
        data = read_private(plugin.path)
        found = hashlib.sha256(data).hexdigest()
        if found != plugin.sha256:
            raise BackendError(
                f"{plugin.path} was altered: its SHA-256 is {found[:12]}…, the identity says {plugin.sha256[:12]}…"
            )
        check_library(data, plugin.path, version)
        if _registered(module, can):
            raise BackendError(
                f"this process has {OPERATOR} of another library already", f"load {plugin.path} before it, or alone"
            )
        handle = _open(plugin, package, version)
        if not _registered(module, can):
            raise BackendError(f"{plugin.path} has no {OPERATOR} for {package} {version}")
        _loaded[plugin.sha256] = handle


def _open(plugin: Plugin, package: Package, version: str) -> Any:
    # Python loads TensorRT for itself alone; a plug-in that was not linked with it looks among what the whole process shows.
    with contextlib.suppress(OSError):
        ctypes.CDLL(f"libnvinfer.so.{version.partition('.')[0]}", mode=ctypes.RTLD_GLOBAL)
    try:
        return ctypes.CDLL(str(plugin.path.absolute()), mode=ctypes.RTLD_LOCAL)
    except OSError as error:
        why = one_line(str(error)).removeprefix(f"{plugin.path.absolute()}: ")
        remedy = f"build the plug-in with the headers of {package} {version} (docs/kernels.md)"
        if "failed to map segment" in why:
            remedy = "its file system may be mounted noexec: mount it without, or move the bundle"
        raise BackendError(f"{plugin.path} cannot be loaded: {why}", remedy) from error


def _registered(module: Any, can: Capabilities) -> bool:
    """Whether the op is there; a list is gone through because asking for one that is not there is an error in TensorRT's log."""
    if can.plugin_creators is None:
        raise BackendError(f"{can.package} has no plug-ins", "build the engines again without one")
    creators = getattr(module.get_plugin_registry(), can.plugin_creators)
    return any(getattr(creator, "name", "") == OPERATOR for creator in creators)
