"""What the FP32 reference reads and writes, graph by graph, over several scenes: what calibration and the accuracy gate work on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from videoscene_rt.engines.errors import InputError

Arrays = dict[str, npt.NDArray[Any]]
_HEADER = "activations.json"
_VERSION = 1


@dataclass(frozen=True)
class Sample:
    """One call of a graph by the reference, in the graph's documented dtypes and shapes; ``scene`` is the scene's name."""

    scene: str
    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True)
class GraphActivations:
    """The calls of one graph, in the order in which the chain made them. A graph may be called several times a scene."""

    graph: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Activations:
    """The calls of every graph.

    Attributes:
        graphs: by the graph's name.
        digest: hex SHA-256 over the scenes' contents and seeds, known without running anything.
        scenes: the scenes' names.
    """

    graphs: dict[str, GraphActivations]
    digest: str
    scenes: tuple[str, ...]

    def graph(self, name: str) -> GraphActivations:
        """The calls of one graph.

        Raises:
            InputError: there are none.
        """
        found = self.graphs.get(name)
        if found is None or not found.samples:
            raise InputError(f"no activations were recorded for graph {name!r}")
        return found


def save_activations(activations: Activations, path: Path) -> None:
    """Write everything into one compressed .npz: the arrays, and a JSON header that says which is which."""
    header = {
        "version": _VERSION,
        "digest": activations.digest,
        "scenes": list(activations.scenes),
        "graphs": {name: [sample.scene for sample in found.samples] for name, found in activations.graphs.items()},
    }
    arrays: Arrays = {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for name, found in activations.graphs.items():
        for index, sample in enumerate(found.samples):
            for kind, tensors in (("inputs", sample.inputs), ("outputs", sample.outputs)):
                arrays |= {f"{name}/{index}/{kind}/{tensor}": array for tensor, array in tensors.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_activations(path: Path) -> Activations:
    """Read what `save_activations` wrote.

    Raises:
        InputError: the file is missing, is no such record, or is of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: Arrays = dict(archive)
        header = json.loads(arrays.pop(_HEADER).tobytes())
        _check_version(header["version"], path)
        graphs = {name: _graph(name, scenes, arrays) for name, scenes in header["graphs"].items()}
        return Activations(graphs, str(header["digest"]), tuple(header["scenes"]))
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is not a record of activations: {error}", "record them again") from error


def _check_version(version: object, path: Path) -> None:
    if version != _VERSION:
        raise InputError(
            f"{path} is a record of version {version}; this videoscene-rt reads {_VERSION}", "record it again"
        )


def _graph(name: str, scenes: list[str], arrays: Arrays) -> GraphActivations:
    samples = []
    for index, scene in enumerate(scenes):
        sample = Sample(scene, {}, {})
        for kind, tensors in (("inputs", sample.inputs), ("outputs", sample.outputs)):
            prefix = f"{name}/{index}/{kind}/"
            tensors |= {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
        samples.append(sample)
    return GraphActivations(name, tuple(samples))
