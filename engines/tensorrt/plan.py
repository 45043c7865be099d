"""Plan bytes into an engine, and the engine held against the graph's specification. A plan is code: its digest was verified before."""

from __future__ import annotations

from functools import cache
from typing import Any

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.engines.tensorrt.capabilities import Capabilities, Package, open_package
from videoscene_rt.engines.tensorrt.log import make_log, reason

PlanBytes = bytes | bytearray | memoryview

_SHORTEST = 64
_LENGTH_AT = slice(16, 24)
_REBUILD = "vsrt build the bundle again"
# TensorRT's names of the types a graph may have (engines.specs.DType); 8.6 turns INT64 into INT32 and has no others.
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT32": "int32"}


@cache
def package_with_log(package: Package) -> tuple[Any, Capabilities, Any]:
    """A TensorRT, what it can, and the one logger that this process gives it: it keeps a pointer to the first that it sees.

    Raises:
        BackendError: see `open_package`.
    """
    module, can = open_package(package)
    return module, can, make_log(module)


def deserialize(package: Package, data: PlanBytes, graph: str) -> Any:
    """An ICudaEngine from the bytes of a plan, whose digest was verified.

    Args:
        package: whose plan it is.
        data: the whole plan.
        graph: the graph's name, for the messages.

    Raises:
        BackendError: these are no plan, or this version, GPU or driver refuses it; in its logger's words.
    """
    module, can, log = package_with_log(package)
    who = f"{package} {module.__version__}"
    _check_header(can, data, graph)
    before = log.count
    try:
        engine = module.Runtime(log).deserialize_cuda_engine(data)
    except (RuntimeError, TypeError, ValueError, MemoryError) as error:
        raise BackendError(f"graph {graph}: {who} refuses its plan: {error}", _REBUILD) from error
    if engine is None:
        said = reason(log.errors(before)) or "it does not say why"
        raise BackendError(f"graph {graph}: {who} refuses its plan: {said}", _REBUILD)
    return engine


def half_tensors(engine: Any) -> frozenset[str]:
    """The inputs and outputs of an engine that are float16."""
    names = (engine.get_tensor_name(index) for index in range(engine.num_io_tensors))
    return frozenset(name for name in names if _tensor(engine, name)[1] == "float16")


def check_tensors(engine: Any, spec: GraphSpec) -> None:
    """An engine has the inputs and outputs that the manifest promises: names, directions, dtypes and shapes.

    Raises:
        BackendError: it has not; the first difference is named.
    """
    have = {name: _tensor(engine, name) for name in (engine.get_tensor_name(i) for i in range(engine.num_io_tensors))}
    want = {tensor.name: ("INPUT", tensor.dtype, tensor.shape) for tensor in spec.inputs}
    want |= {tensor.name: ("OUTPUT", tensor.dtype, tensor.shape) for tensor in spec.outputs}
    for name in {**want, **have}:
        if have.get(name) != want.get(name):
            found, promised = _spelt(have.get(name)), _spelt(want.get(name))
            raise BackendError(
                f"graph {spec.name}: its plan is not the manifest's graph: {name} is {found} in the plan, {promised} in the manifest",
                _REBUILD,
            )


def _check_header(can: Capabilities, data: PlanBytes, graph: str) -> None:
    size = len(data)
    if size < _SHORTEST:
        raise BackendError(f"graph {graph}: its plan has {size} bytes and is no plan", _REBUILD)
    if can.plan_magic is None:
        return
    if bytes(data[: len(can.plan_magic)]) != can.plan_magic:
        raise BackendError(f"graph {graph}: what should be a plan of {can.package} is none", _REBUILD)
    promised = int.from_bytes(data[_LENGTH_AT], "little")
    if promised != size:
        raise BackendError(f"graph {graph}: its plan says it has {promised} bytes and has {size}", _REBUILD)


def _tensor(engine: Any, name: str) -> tuple[str, str, tuple[int, ...]]:
    dtype = _last_word(engine.get_tensor_dtype(name))
    return _last_word(engine.get_tensor_mode(name)), _DTYPES.get(dtype, dtype), tuple(engine.get_tensor_shape(name))


def _last_word(value: Any) -> str:
    return str(value).rpartition(".")[2]


def _spelt(tensor: tuple[str, str, tuple[int, ...]] | None) -> str:
    return "missing" if tensor is None else f"{tensor[0].lower()} {tensor[1]}{list(tensor[2])}"
