"""What one half hands to the other: a folder with graphs, weights, inputs, what torch made of them, and stage.json. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.bench.roofline.facts import Rates, StageCounts
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.manifest import Manifest, PolicyInfo
from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import GraphSpec
from videoscene_rt.engines.tensorrt.files import write_whole

STAGE_FILE, TENSORS_FILE, BLOCKS_FILE = "stage.json", "tensors.npz", "blocks.bin"
_GIVEN, _WANTED = "in.", "out."
Arrays = dict[str, npt.NDArray[Any]]


class BlockWeight(BaseModel):
    """One weight of a block in `BLOCKS_FILE`, float16: ``offset`` bytes from its block's beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    shape: tuple[int, ...]
    offset: int


class Handed(BaseModel):
    """A stage, written whole: stage.json comes last.

    Attributes:
        item: which. preset: with the student's own number of blocks, whatever the item's is. seed: of weights and inputs.
        graphs: ONNX files beside it, float32 with float16's numbers.
        block_weights, block_bytes: of a shared block; where block k's begin is k·block_bytes.
        counts: the least that the stage takes; None where torch cannot count it. rates: torch's on that device.
        reference: what the outputs are.
        versions: of what wrote it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: Item
    preset: Preset
    seed: int
    graphs: dict[str, GraphSpec]
    block_weights: tuple[BlockWeight, ...] = ()
    block_bytes: int = 0
    counts: StageCounts | None
    rates: Rates
    reference: str
    versions: dict[str, str]

    def write(self, folder: Path) -> None:
        """Into a folder where all the rest lies."""
        write_whole(folder / STAGE_FILE, self.model_dump_json(indent=1).encode())

    @classmethod
    def read(cls, folder: Path) -> Handed:
        """From a folder.

        Raises:
            InputError: it has no stage.json, or a wrong one.
        """
        try:
            return cls.model_validate_json((folder / STAGE_FILE).read_bytes())
        except OSError as error:
            raise InputError(f"{folder} holds no stage: {error.strerror}", "export it first") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InputError(f"{folder / STAGE_FILE}: {first['msg']}", "export it again") from error

    def bundle(self, folder: Path, graphs: Mapping[str, GraphSpec] | None = None) -> Bundle:
        """As much of a bundle as deriving and loading its graphs needs; with other specifications where they became others."""
        policy = PolicyInfo(kind="ddpnet", timesteps=self.preset.policy.timesteps)
        held = dict(graphs or self.graphs)
        return Bundle(folder, Manifest.model_construct(preset=self.preset, graphs=held, policy=policy))


def write_tensors(folder: Path, given: Mapping[str, npt.NDArray[Any]], wanted: Mapping[str, npt.NDArray[Any]]) -> None:
    """Inputs, and what came of them."""
    arrays = {
        **{_GIVEN + name: one for name, one in given.items()},
        **{_WANTED + name: one for name, one in wanted.items()},
    }
    with (folder / TENSORS_FILE).open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # no tensor is called allow_pickle


def read_tensors(folder: Path) -> tuple[Arrays, Arrays]:
    """Inputs, and what they must give.

    Raises:
        InputError: they are not there.
    """
    try:
        with np.load(folder / TENSORS_FILE, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / TENSORS_FILE} cannot be read: {error}", "export it again") from error
    given = {name.removeprefix(_GIVEN): one for name, one in arrays.items() if name.startswith(_GIVEN)}
    return given, {name.removeprefix(_WANTED): one for name, one in arrays.items() if name.startswith(_WANTED)}
