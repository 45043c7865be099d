"""A traced student's attention as ONNX's own operator `Attention` (opset 23), for runtimes that have a fused kernel for it.

The structure that is looked for is that of `attention_as_plugin`; queries, keys and values stay [B,H,N,64], the form that the
operator takes without counts of heads. What else is in such a graph means in opset 23 what it means in 18.
"""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from videoscene_rt.engines.rewrite.attention_as_plugin import Operator, replaced

_OPSET = 23
_ATTENTION = Operator("Attention", "", _OPSET, {})


def rewrite(model: ir.Model, kept: Collection[str] = ()) -> str:
    """See `videoscene_rt.engines.rewrite.apply`."""
    words = f"attention as ONNX's operator, {replaced(model, kept, _ATTENTION)}"
    for node in model.graph:
        node.version = None
    return words
