"""Kernels of our own, behind the engine interface: the renderer, and the watch over a step's latents."""
