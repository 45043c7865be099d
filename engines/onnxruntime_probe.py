"""The smallest ONNX graph there is: what loads and runs it is an ONNX Runtime provider that works."""

from __future__ import annotations

# One Identity over float32[1], x → y (opset 17).
IDENTITY = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a020801"
    "42040a001011"
)
