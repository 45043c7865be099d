"""One whole step in torch: the modules that were exported, called in the chain's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from videoscene_rt.bench.chain_scene import Arrays
from videoscene_rt.bench.torch_lowering import lowered
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.precision import graph_precision
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.graph_source import GraphSource

AFTER_THE_RENDERER = ("encode_clip", "encode_images", "policy", "student", "decode_clip")
"""The graphs of a step with the tiny autoencoder, but for the renderer."""
Render = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class Refine(nn.Module):
    """Everything after the renderer.

    Args:
        graphs: the modules of `AFTER_THE_RENDERER`, which take and give the graphs' documented tensors.
        preset: the sizes.
    """

    between: Tensor

    def __init__(self, graphs: Mapping[str, nn.Module], preset: Preset) -> None:
        super().__init__()
        self.graphs = nn.ModuleDict(graphs)
        one, frames, *latent = preset.latent_shape
        self.register_buffer("between", torch.zeros(one, frames - 2, *latent), persistent=False)

    def forward(
        self, coarse: Tensor, images: Tensor, sigma: Tensor, eta: Tensor, noise: Tensor, prompt: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Coarse frames u8[F,H,W,3], images u8[2,H,W,3], σ f32[1], η f32[2,3,H,W], ε f32[1,T,16,h,w], prompt f32[1,L,D] → frames, z_0."""
        z_r = self.graphs["encode_clip"](coarse)
        timestep, _ = self.graphs["policy"](z_r)
        first, last = self.graphs["encode_images"](images, sigma, eta)
        condition = torch.cat((first, self.between, last), dim=1)
        z_0 = self.graphs["student"](z_r, condition, noise, prompt, timestep)
        return self.graphs["decode_clip"](z_0), z_0


def refine_of(sources: Mapping[str, GraphSource], preset: Preset, precision: str) -> tuple[Refine, dict[str, str]]:
    """The modules, each in half precision where the product's recipe runs its graph in half precision.

    Returns:
        the module, and each graph's precision.

    Raises:
        InputError: the preset has another autoencoder than the tiny one.
    """
    missing = [name for name in AFTER_THE_RENDERER if name not in sources]
    if missing or preset.autoencoder.kind != "tiny":
        lacks = f"no {missing[0]}" if missing else "the published one as its own"
        raise InputError(f"the step in torch is written for the tiny autoencoder; preset {preset.name} has {lacks}")
    half = {"fp32": torch.float32, "fp16": torch.float16}
    ceiling = "fp16" if precision == "int8" else precision  # torch has no INT8 here
    given = {name: graph_precision(name, ceiling) for name in AFTER_THE_RENDERER}
    modules = {name: lowered(sources[name], half[given[name]]) for name in AFTER_THE_RENDERER}
    return Refine(modules, preset), given


class WholeStep:
    """Renderer and `Refine` over inputs that lie on the device.

    Args:
        render: the renderer, as `videoscene_rt.export.renderer.Renderer` takes and gives.
        refine: a `Refine`, compiled or not.
        inputs: the chain's input buffers, by name, with noise and prompt.
        device: where they go.
    """

    def __init__(
        self, render: Render, refine: Callable[..., tuple[Tensor, Tensor]], inputs: Arrays, device: str
    ) -> None:
        self._render, self._refine = render, refine
        on_device = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
        self._view = [on_device[name] for name in ("xyz", "rgb", "num_points", "world_to_camera", "intrinsics")]
        self._given = [on_device[name] for name in ("images", "sigma", "eta", "noise", "prompt")]
        self.latest: dict[str, Tensor] = {}

    def __call__(self) -> None:
        """Enqueue one step on the current stream."""
        coarse, depth, holes = self._render(*self._view)
        frames, z_0 = self._refine(coarse, *self._given)
        self.latest = {"coarse": coarse, "depth": depth, "hole_mask": holes, "z_0": z_0, "frames": frames}
