"""The same step by PyTorch or ONNX Runtime, in a process of its own, taking turns with ours."""
