"""An ONNX file into a TensorRT network: parsed, its refusals told by node, and, where the network has no types of its own, typed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.tensorrt.capabilities import Capabilities
from videoscene_rt.engines.tensorrt.log import reason
from videoscene_rt.engines.tensorrt.onnx_nodes import Node, read_nodes

_METADATA = re.compile(r"^\[ONNX Layer: (.*)\]$", re.DOTALL)
_IMPORTER = "ModelImporter"
_NODES_NAMED = 4
# Their type is what they are for: a cast's and a quantizer's is given by the graph, a constant's by its weights.
_TYPED_BY_THE_GRAPH = ("CAST", "CONSTANT", "SHAPE", "QUANTIZE", "DEQUANTIZE")
# A plug-in says itself which types it takes, and the builder converts what comes in another.
_TYPED_BY_THEMSELVES = ("PLUGIN", "PLUGIN_V2", "PLUGIN_V3")


def parse(module: Any, can: Capabilities, builder: Any, log: Any, onnx: Path) -> Any:
    """Parse an ONNX file and its external data.

    Returns:
        The INetworkDefinition.

    Raises:
        BackendError: this parser refuses a node, or would read one wrongly; which, and its words.
    """
    try:
        nodes = read_nodes(onnx)
    except (OSError, ValueError) as error:
        raise BackendError(f"{onnx} is not an ONNX file: {error}", "derive it again") from error
    _refuse_misread(can, module, nodes)
    network = builder.create_network(_creation_flags(module, can))
    parser = module.OnnxParser(network, log)
    before = log.count
    if parser.parse_from_file(str(onnx)):
        return network
    # A file of weights that is missing stands in the log alone; what the importer logs is the errors once more.
    logged = reason([text for text in log.errors(before) if _IMPORTER not in text])
    errors = (parser.get_error(index) for index in range(parser.num_errors))
    said = dict.fromkeys([*([logged] if logged else []), *(_parser_error(can, error, nodes) for error in errors)])
    raise BackendError(f"its parser refuses {onnx.name}: {'; '.join(said) or 'it does not say why'}")


def set_precisions(module: Any, network: Any, layer_precisions: Mapping[str, str]) -> tuple[int, list[str]]:
    """Type the layers of a weakly typed network by the ONNX node that each came from.

    A layer that works on integers, one that follows a DequantizeLinear (its type is the quantizer's), and a plug-in is left alone.
    Network outputs keep their documented types.

    Args:
        layer_precisions: "fp32" or "fp16" by ONNX node name.

    Returns:
        How many layers were typed; the nodes of which no layer was found (folded away by the parser, or misspelt).
    """
    types = {"fp32": module.float32, "fp16": module.float16}
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    outputs = {network.get_output(index).name for index in range(network.num_outputs)}
    dequantized = {
        layer.get_output(0).name for layer in layers if _kind(layer) == "DEQUANTIZE" and layer.get_output(0) is not None
    }
    typed, seen = 0, set()
    for layer in layers:
        node = _node_of(layer, layer_precisions)
        if node is None:
            continue
        seen.add(node)
        if (
            _kind(layer) in (*_TYPED_BY_THE_GRAPH, *_TYPED_BY_THEMSELVES)
            or not _is_float(module, layer)
            or _reads(layer, dequantized)
        ):
            continue
        wanted = types[layer_precisions[node]]
        layer.precision = wanted
        for index in range(layer.num_outputs):
            if layer.get_output(index).name not in outputs:
                layer.set_output_type(index, wanted)
        typed += 1
    return typed, sorted(set(layer_precisions) - seen)


def set_half(module: Any, network: Any, names: Sequence[str]) -> None:
    """Give some inputs and outputs of a weakly typed network the type float16, stored densely: caches, which the chain keeps so.

    Raises:
        BackendError: the network has no such tensor.
    """
    if not names:
        return
    inputs = (network.get_input(index) for index in range(network.num_inputs))
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    tensors = {tensor.name: tensor for tensor in (*inputs, *outputs)}
    missing = [name for name in names if name not in tensors]
    if missing:
        raise BackendError(f"the network has no input or output {', '.join(missing)}", "derive the graph again")
    for name in names:
        tensors[name].dtype = module.float16
        tensors[name].allowed_formats = 1 << int(module.TensorFormat.LINEAR)


def _creation_flags(module: Any, can: Capabilities) -> int:
    flags = module.NetworkDefinitionCreationFlag
    wanted = [flags.STRONGLY_TYPED] if can.strongly_typed else []
    wanted += [flags.EXPLICIT_BATCH] if can.explicit_batch_flag else []
    return sum(1 << int(flag) for flag in wanted)


def _refuse_misread(can: Capabilities, module: Any, nodes: Sequence[Node]) -> None:
    for rule in can.misread:
        found = [
            node
            for node in nodes
            if node.operator == rule.operator
            and (
                (rule.inputs is not None and node.inputs > rule.inputs)
                or (rule.attribute is not None and node.texts.get(rule.attribute, "none") != "none")
            )
        ]
        if found:
            what = f"attribute {rule.attribute}" if rule.attribute else f"input {(rule.inputs or 0) + 1}"
            raise BackendError(
                f"its parser would ignore {what} of {rule.operator} ({_names(found)}) and give wrong results",
                f"{can.package} {module.__version__} knows opset {can.opset}: convert the graph, or run it with ONNX Runtime",
            )


def _parser_error(can: Capabilities, error: Any, nodes: Sequence[Node]) -> str:
    index, function = error.node(), str(error.func())
    text = f"{str(error.desc()).strip()} ({error.code()}, {function})"
    if can.parser_names_nodes and error.node_name():
        return f"{error.node_name()} [{error.node_operator()}]: {text}"
    if 0 <= index < len(nodes):
        return f"{nodes[index].name} [{nodes[index].operator}]: {text}"
    # Some refusals name no node; the function in which they were made names the operator.
    operator = function.removeprefix("import")
    found = [node for node in nodes if node.operator == operator]
    return f"{_names(found)} [{operator}]: {text}" if found else text


def _names(nodes: Sequence[Node]) -> str:
    more = f" and {len(nodes) - _NODES_NAMED} more" if len(nodes) > _NODES_NAMED else ""
    return ", ".join(node.name for node in nodes[:_NODES_NAMED]) + more


def _node_of(layer: Any, known: Mapping[str, str]) -> str | None:
    """The ONNX node of a layer: by its metadata, which the parser writes, or by its name, which is made unique by a number."""
    metadata = _METADATA.match(layer.metadata or "")
    for name in (metadata[1] if metadata else "", layer.name):
        if name in known:
            return str(name)
    return None


def _kind(layer: Any) -> str:
    return str(layer.type).rpartition(".")[2]


def _is_float(module: Any, layer: Any) -> bool:
    outputs = [layer.get_output(index) for index in range(layer.num_outputs)]
    inputs = [layer.get_input(index) for index in range(layer.num_inputs)]
    if any(tensor is not None and tensor.is_shape_tensor for tensor in (*inputs, *outputs)):
        return False
    return bool(outputs) and all(tensor.dtype in (module.float32, module.float16) for tensor in outputs)


def _reads(layer: Any, tensors: set[str]) -> bool:
    inputs = (layer.get_input(index) for index in range(layer.num_inputs))
    return any(tensor is not None and tensor.name in tensors for tensor in inputs)
