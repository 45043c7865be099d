"""Reading published weights of the tiny autoencoder (``taecvx.safetensors``)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import TinyAutoencoderSizes
from videoscene_rt.export.safetensors_file import tensor_places
from videoscene_rt.export.tiny_autoencoder import TemporalGrow, TinyAutoencoder

_WIDTHS = (1, 8, 14, 20)
"""The decoder's layers whose output channels are its widths."""
_REMEDY = "use a file of the published layout (taecvx.safetensors) and a preset with its widths"


def load_tiny_autoencoder(path: Path | str, sizes: TinyAutoencoderSizes) -> TinyAutoencoder:
    """A tiny autoencoder with the weights of a .safetensors file of the published layout, in float32 and eval mode.

    Strict: every tensor of the architecture must be there, in its shape, and no other. The one exception is the
    published loader's own: a temporal-growing convolution trained for more frames than this architecture splits into
    keeps its last frames' channels.

    Raises:
        InputError: the file is missing or unreadable, or a tensor is missing, unexpected, mis-shaped or not of floats.
    """
    path = Path(path)
    try:
        found = load_file(path)
    except FileNotFoundError:
        raise InputError(f"no weights for the tiny autoencoder at {path}", _REMEDY) from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file: {error}", _REMEDY) from error
    with torch.device("meta"):
        model = TinyAutoencoder(sizes)
    _keep_last_frames(model, found)
    _check(path, {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}, found)
    model.load_state_dict({name: tensor.to(torch.float32) for name, tensor in found.items()}, assign=True)
    return model.requires_grad_(False).eval()


def sizes_of(path: Path | str) -> TinyAutoencoderSizes:
    """The sizes of the tiny autoencoder in a .safetensors file of the published layout; reads its header alone.

    Raises:
        InputError: the file is missing or unreadable, or of another layout.
    """
    shapes = {name: place.shape for name, place in tensor_places(Path(path)).items()}
    try:
        first, *rest = (shapes[f"decoder.{index}.weight"][0] for index in _WIDTHS)
        return TinyAutoencoderSizes(
            encoder_width=shapes["encoder.0.weight"][0], decoder_widths=(first, rest[0], rest[1], rest[2])
        )
    except (KeyError, IndexError) as error:
        raise InputError(f"{path} is not of the published layout: {error} is missing", _REMEDY) from error


def _keep_last_frames(model: TinyAutoencoder, found: dict[str, Tensor]) -> None:
    for name, module in model.named_modules():
        key = f"{name}.conv.weight"
        if isinstance(module, TemporalGrow) and key in found:
            wanted = module.conv.out_channels
            if found[key].ndim == 4 and found[key].shape[0] > wanted and found[key].shape[0] % wanted == 0:
                found[key] = found[key][-wanted:]


def _check(path: Path, wanted: dict[str, tuple[int, ...]], found: dict[str, Tensor]) -> None:
    missing = [name for name in wanted if name not in found]
    unexpected = [name for name in found if name not in wanted]
    misshaped = [
        f"{name} is {list(found[name].shape)}, not {list(shape)}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    wrong_dtype = [f"{name} is {tensor.dtype}" for name, tensor in found.items() if not tensor.is_floating_point()]
    for fault, names in (
        ("lacks", missing),
        ("has unexpected", unexpected),
        ("does not fit the preset:", misshaped),
        ("does not hold floats:", wrong_dtype),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(f"{path} {fault} {', '.join(names[:3])}{more}", _REMEDY)
