"""The published model's stages as engines: written as ONNX where torch is, built and measured where it is not, a folder between the two."""
