"""Torch's half: ``python -m videoscene_rt.bench.published.engines.exporting request.json`` writes stages for the engines' half."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from videoscene_rt.bench.published.alarm import TimeIsUp, within
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.published.engines.handed import (
    BLOCKS_FILE,
    STAGE_FILE,
    BlockWeight,
    Handed,
    write_tensors,
)
from videoscene_rt.bench.published.engines.item import Item
from videoscene_rt.bench.published.engines.reference import given_arrays, wanted_arrays
from videoscene_rt.bench.published.engines.request import ExportRequest
from videoscene_rt.bench.published.engines.sources import HALF, ItemSources, item_sources
from videoscene_rt.bench.published.measuring import first_line
from videoscene_rt.bench.published.rates import measured_rates
from videoscene_rt.bench.published.request import PublishedRequest
from videoscene_rt.bench.published.stages import Counter
from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.bench.request import main
from videoscene_rt.bench.roofline.facts import Rates, StageCounts
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import GraphSpec, Parity
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.tracing import OPSET, structure
from videoscene_rt.export.weights import WeightFile

_ALIGNMENT = 256
_UNPROVED = Parity(reference="not run", relative_l2={}, max_abs={}, limit=0.0)


def export_items(request: ExportRequest) -> dict[str, Any]:
    """Write the items of a request; each appears whole or not at all.

    Returns:
        ``written``: folder by item; ``failures``: problem by item.

    Raises:
        InputError: the preset is wrong, or the folder cannot be made.
        BackendError: there is no CUDA device.
    """
    preset = load_preset(request.preset)
    if request.device == "cuda" and not torch.cuda.is_available():
        raise BackendError("torch sees no CUDA device", 'write them on "cpu", or on a machine with a GPU')
    try:
        request.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{request.folder} cannot be made: {error.strerror}") from error
    logging.getLogger("diffusers").setLevel(
        logging.ERROR
    )  # it would say at every cast which modules it would rather cast
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    rates = measured_rates(request.device, ("fp32", "fp16"))
    written: dict[str, str] = {}
    failures: dict[str, str] = {}
    for item in request.items:
        folder = request.folder / item.name
        if not (folder / STAGE_FILE).exists():
            try:
                with within(request.cell_s), torch.no_grad():
                    _write(item, preset, request, rates, folder)
            except (Exception, TimeIsUp) as error:  # whatever one dies of, the others are written
                failures[item.name] = first_line(error)
                continue
            finally:
                gc.collect()
                torch.cuda.empty_cache() if torch.cuda.is_available() else None
        written[item.name] = str(folder)
    return {"written": written, "failures": failures}


def _write(item: Item, preset: Preset, request: ExportRequest, rates: Rates, folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        handed = _written(item, preset, request, rates, draft)
        handed.write(draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _written(item: Item, preset: Preset, request: ExportRequest, rates: Rates, folder: Path) -> Handed:
    draw = Draw(request.device, request.seed)
    sources = item_sources(item, preset, draw)
    graphs, views = _traced(sources, folder)
    weights, size = _blocks(item, sources, views, folder)
    given = given_arrays(item, preset, draw)
    reference = "none"
    wanted = {}
    if request.reference is not None:
        wanted = wanted_arrays(item, preset, draw, torch.float32 if request.reference == "float32" else HALF)
        reference = f"the published path in torch, {request.reference}, on the same numbers"
    write_tensors(folder, given, wanted)
    return Handed(
        item=item,
        preset=preset,
        seed=request.seed,
        graphs=graphs,
        block_weights=weights,
        block_bytes=size,
        counts=_counted(item, preset, request),
        rates=rates,
        reference=reference,
        versions={"torch": torch.__version__, "diffusers": version("diffusers")},
    )


def _traced(sources: ItemSources, folder: Path) -> tuple[dict[str, GraphSpec], dict[str, Any]]:
    """Every graph as a file, float32 weights in one; what each weight of the last traced block is a view of."""
    file = WeightFile(folder, "weights.bin")
    graphs, views = {}, {}
    for name, source in sources.graphs.items():
        traced = structure(source)
        if name == "student_block":
            views = dict(traced.views)
        traced.write(folder / f"{name}.onnx", file)
        graphs[name] = GraphSpec(
            name=name,
            file=f"{name}.onnx",
            opset=OPSET,
            inputs=source.inputs,
            outputs=source.outputs,
            state=source.state,
            parity=_UNPROVED,
        )
    return graphs, views


def _blocks(
    item: Item, sources: ItemSources, views: dict[str, Any], folder: Path
) -> tuple[tuple[BlockWeight, ...], int]:
    """The weights of all blocks, one block after the other, each weight as the block's graph wants it; float16."""
    names = {id(tensor): name for name, tensor in sources.blocks.items()}
    held = {name: view for name, view in views.items() if id(view.tensor) in names}
    if not held:
        return (), 0
    places, end = [], 0
    for name, view in held.items():
        places.append(BlockWeight(name=name, shape=tuple(view.shape), offset=end))
        end += -(-view.tensor.numel() * HALF.itemsize // _ALIGNMENT) * _ALIGNMENT
    with (folder / BLOCKS_FILE).open("wb") as file:
        for number in range(item.blocks or 0):
            for place in places:
                view = held[place.name]
                own = names[id(view.tensor)].replace("blocks.0.", f"blocks.{number}.", 1)
                numbers = view.apply(sources.numbers.drawn(own, tuple(view.tensor.shape)))
                file.seek(number * end + place.offset)
                file.write(numbers.cpu().numpy().data)
        file.truncate((item.blocks or 0) * end)
    return tuple(places), end


def _counted(item: Item, preset: Preset, request: ExportRequest) -> StageCounts | None:
    asked = PublishedRequest(out=request.folder, preset=request.preset, device=request.device)
    try:
        return Counter(preset, asked).of(Cell(item.stage, "eager", "fp16", item.blocks))
    except (RuntimeError, NotImplementedError, TypeError):  # an operator that this torch cannot run on shapes
        return None


if __name__ == "__main__":
    sys.exit(main(ExportRequest, export_items, sys.argv[1:]))
