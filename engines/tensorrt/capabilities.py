"""What the versions of TensorRT differ in, decided here and nowhere else: one frozen record a family, chosen by package and version.

The sources are NVIDIA's headers and Python bindings of 8.6.1, 10.3, 10.8, 10.14, 10.16, 11.0 and 11.1 (github NVIDIA/TensorRT) and the
8.6 parser (github onnx/onnx-tensorrt); for TensorRT-RTX the installed 1.7. docs/tensorrt.md shows the table and says what was run where.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from typing import Any, Literal

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.machine import load_kernels_lazily

Package = Literal["tensorrt", "tensorrt_rtx"]
Version = tuple[int, int]

_EXTRAS = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}


@dataclass(frozen=True)
class Misread:
    """An ONNX operator that a parser accepts and gets wrong: it ignores inputs beyond ``inputs``, or the text attribute ``attribute``."""

    operator: str
    inputs: int | None = None
    attribute: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What one family of versions can.

    Attributes:
        package, first, before: whose versions these are: first <= version < before.
        strongly_typed: the network takes its types from the graph; otherwise flags and per-layer precisions say them.
        explicit_batch_flag: the network must be asked for with EXPLICIT_BATCH.
        progress_monitor: the builder tells its progress (IProgressMonitor).
        timing_cache: timings of tactics are worth keeping (on TensorRT-RTX every operation on them is a no-op).
        tactic_sources: which sources of kernels the builder uses unless an attempt says otherwise; None leaves the builder's own.
        parser_names_nodes: a parser error knows its node's name and operator.
        sized_device_memory: contexts take a strategy and set_device_memory(pointer, bytes); otherwise
            create_execution_context_without_device_memory and the property device_memory.
        device_memory_size: the engine's property that says how much scratch memory a context needs, in bytes.
        opset: the highest that the parser of every one of these versions knows in full.
        scatter_reduction: ScatterElements with a reduction: by a plugin, or not at all.
        misread: operators that the parser accepts and gets wrong.
        plan_magic: first bytes of a plan; its whole length follows at byte 16 (little-endian, 64 bits). None where that was not seen.
        plugin_creators: the registry's property that lists the creators of plug-ins; None where it has none.
        compute_capabilities: on which its plans run by default; None is the compute capability of the GPU they are built on.
    """

    package: Package
    first: Version
    before: Version
    strongly_typed: bool
    explicit_batch_flag: bool
    progress_monitor: bool
    timing_cache: bool
    tactic_sources: tuple[str, ...] | None
    parser_names_nodes: bool
    sized_device_memory: bool
    device_memory_size: str
    opset: int
    scatter_reduction: Literal["plugin", "none"]
    misread: tuple[Misread, ...] = ()
    plan_magic: bytes | None = None
    plugin_creators: str | None = None
    compute_capabilities: tuple[str, ...] | None = None


# cuBLAS, cuBLASLt and cuDNN stay out: 10 deprecates them, 11 has them no more, and they are large libraries of their own on 8.6.
_SOURCES = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")

# Opset 18 moved the axes of these from an attribute to an input, which the 8.6 parser does not look at: it reduces over every axis.
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

TENSORRT_8_6 = Capabilities(
    package="tensorrt",
    first=(8, 6),
    before=(8, 7),
    strongly_typed=False,
    explicit_batch_flag=True,
    progress_monitor=False,
    timing_cache=True,
    tactic_sources=_SOURCES,
    parser_names_nodes=False,
    sized_device_memory=False,
    device_memory_size="device_memory_size",
    opset=17,
    scatter_reduction="none",
    misread=(
        *(Misread(f"Reduce{name}", inputs=1) for name in _REDUCTIONS),
        Misread("Pad", inputs=3),
        Misread("ScatterElements", attribute="reduction"),
        Misread("ScatterND", attribute="reduction"),
    ),
    plan_magic=b"ftrt",
    plugin_creators="plugin_creator_list",
)
TENSORRT_10 = Capabilities(
    package="tensorrt",
    first=(10, 3),
    before=(11, 0),
    strongly_typed=True,
    explicit_batch_flag=False,
    progress_monitor=True,
    timing_cache=True,
    tactic_sources=_SOURCES,
    parser_names_nodes=True,
    sized_device_memory=True,
    device_memory_size="device_memory_size_v2",
    opset=20,
    scatter_reduction="plugin",
    plugin_creators="all_creators",
)
TENSORRT_11 = Capabilities(
    package="tensorrt",
    first=(11, 0),
    before=(12, 0),
    strongly_typed=True,
    explicit_batch_flag=False,
    progress_monitor=True,
    timing_cache=True,
    tactic_sources=_SOURCES,
    parser_names_nodes=True,
    sized_device_memory=True,
    device_memory_size="device_memory_size_v2",
    opset=25,
    scatter_reduction="plugin",
    plugin_creators="all_creators",
)
TENSORRT_RTX_1 = Capabilities(
    package="tensorrt_rtx",
    first=(1, 2),
    before=(2, 0),
    strongly_typed=True,
    explicit_batch_flag=False,
    progress_monitor=True,
    timing_cache=False,
    tactic_sources=None,
    parser_names_nodes=True,
    sized_device_memory=True,
    device_memory_size="device_memory_size_v2",
    opset=23,
    scatter_reduction="none",
    plan_magic=b"vtrt",
    compute_capabilities=("8.0", "8.6", "8.9", "12.0", "12.1"),
)
FAMILIES = (TENSORRT_8_6, TENSORRT_10, TENSORRT_11, TENSORRT_RTX_1)


def capabilities(package: Package, version: str) -> Capabilities:
    """What a version can.

    Args:
        package: its Python module.
        version: as the module spells it, like "10.13.3.9".

    Raises:
        BackendError: no family has this version.
    """
    numbers = re.match(r"(\d+)\.(\d+)", version)
    found = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    for family in FAMILIES:
        if family.package == package and family.first <= found < family.before:
            return family
    known = ", ".join(_range(family) for family in FAMILIES if family.package == package)
    raise BackendError(
        f"{package} {version} is not supported; what is: {known}", f"pip install '{package}' in one of these"
    )


def open_package(package: Package) -> tuple[Any, Capabilities]:
    """Import a TensorRT.

    Returns:
        Its module, and what it can.

    Raises:
        BackendError: it is not installed, its libraries do not load, or its version is not supported.
    """
    load_kernels_lazily()
    try:
        module = importlib.import_module(package)
        version = str(module.__version__)
    except (ImportError, OSError, AttributeError) as error:
        # A missing shared library is an OSError or an ImportError too, and then the text says which one.
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise BackendError(
            f"{package} cannot be imported: {reason[0]}", f"pip install 'videoscene-rt[{_EXTRAS[package]}]'"
        ) from error
    return module, capabilities(package, version)


def _range(family: Capabilities) -> str:
    first, before = (".".join(map(str, version)) for version in (family.first, family.before))
    return f"{first} up to, not including, {before}"
