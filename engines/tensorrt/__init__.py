"""TensorRT and TensorRT-RTX: what each version can, the builder in a process of its own, and running a plan."""
