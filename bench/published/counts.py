"""What a stage takes at least: its operations counted on shapes alone, its weights, inputs and outputs."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from videoscene_rt.bench.published.built import Built
from videoscene_rt.bench.published.cells import Cell
from videoscene_rt.bench.roofline.facts import StageCounts


def counted(cell: Cell, built: Built) -> StageCounts:
    """Run a stage that was built on the meta device and count the operations of its matrix products, convolutions and attention.

    Other operations, and what passes between layers, are not counted: the roofline is what nothing can be faster than.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = built.run()
    tensors = (*built.inputs, *(value for name, value in outputs.items() if name != "v"))
    parameters = {id(one): one.numel() for module in built.modules for one in (*module.parameters(), *module.buffers())}
    return StageCounts(
        stage=cell.graph,
        graph=cell.graph,
        precision=cell.dtype,
        operations=int(counter.get_total_flops()),
        weights=sum(parameters.values()),
        io_bytes=sum(tensor.numel() * tensor.element_size() for tensor in tensors),
        between_elements=0,
    )
