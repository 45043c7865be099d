"""The tiny autoencoder: the published arithmetic, the published file, clip equals stream, and the ONNX graphs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import TinyAutoencoderSizes
from videoscene_rt.export.pixels import pixels_from_uint8, uint8_from_pixels
from videoscene_rt.export.tiny_autoencoder import (
    TinyAutoencoder,
    decoder_memory_shapes,
    encoder_memory_shapes,
    repeat_first_frame,
)
from videoscene_rt.export.tiny_autoencoder_graphs import tiny_autoencoder_graphs
from videoscene_rt.export.tiny_autoencoder_weights import load_tiny_autoencoder

from .onnx_session import Session, relative_l2
from .taecvx_layout import TAECVX_LAYOUT
from .tiny_reference import reference_decode, reference_encode

SIZES = TinyAutoencoderSizes(encoder_width=8, decoder_widths=(16, 12, 8, 6))
H, W = 16, 24
FLOAT32_ROUND_OFF = 2e-6
PUBLISHED = TinyAutoencoderSizes()


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Convolutions this small lose far more to waiting for busy cores than they gain from a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def autoencoder() -> TinyAutoencoder:
    torch.manual_seed(0)
    model = TinyAutoencoder(SIZES).requires_grad_(False).eval()
    _spread(model, torch.rand(8, 3, H, W))
    return model


def _spread(model: TinyAutoencoder, frames: Tensor) -> None:
    """Weights that keep signals alive, latents of about unit size, and pixels that reach both ends of [0, 1]."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    latents = model.encode(frames)[0]
    model.encoder[-1].weight /= latents.std()
    pixels = model.decode(torch.randn(2, *latents.shape[1:]))[0]
    model.decoder[-1].weight *= 0.4 / pixels.std()
    model.decoder[-1].bias[:] = 0.5


def _video(frames: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (frames, H, W, 3), dtype=torch.uint8, generator=generator)


def _latents(frames: int, seed: int = 2) -> Tensor:
    return torch.randn(1, frames, 16, H // 8, W // 8, generator=torch.Generator().manual_seed(seed))


def _zeros(shapes: dict[str, tuple[int, ...]]) -> list[Tensor]:
    return [torch.zeros(shape) for shape in shapes.values()]


# The published arithmetic


@pytest.mark.parametrize("latent_frames", [1, 2, 4])
def test_encoder_and_decoder_are_the_published_ones(autoencoder: TinyAutoencoder, latent_frames: int) -> None:
    frames, latents = _video(4 * latent_frames).permute(0, 3, 1, 2) / 255.0, _latents(latent_frames)[0]
    state = autoencoder.state_dict()
    encoded, decoded = autoencoder.encode(frames)[0], autoencoder.decode(latents)[0]
    assert encoded.shape == (latent_frames, 16, H // 8, W // 8)
    assert decoded.shape == (4 * latent_frames, 3, H, W)
    assert relative_l2(encoded, reference_encode(state, frames)) < FLOAT32_ROUND_OFF
    assert relative_l2(decoded, reference_decode(state, latents)) < FLOAT32_ROUND_OFF


@pytest.mark.parametrize("frames", [5, 9, 17])
def test_clip_graphs_from_uint8_to_uint8(autoencoder: TinyAutoencoder, frames: int) -> None:
    graphs, state, video = tiny_autoencoder_graphs(autoencoder), autoencoder.state_dict(), _video(frames)
    padded = video[[0, 0, 0, *range(frames)]].permute(0, 3, 1, 2).double() / 255.0
    latent = graphs["encode_clip"](video)
    assert relative_l2(latent[0], reference_encode(state, padded)) < FLOAT32_ROUND_OFF

    decoded = graphs["decode_clip"](latent)
    assert decoded.shape == video.shape
    assert decoded.dtype == torch.uint8
    expected = np.rint(np.clip(reference_decode(state, latent[0])[3:].permute(0, 2, 3, 1).numpy(), 0, 1) * 255)
    difference = np.abs(decoded.numpy().astype(np.int16) - expected)
    assert difference.max() <= 1
    assert np.mean(difference != 0) < 1e-3
    assert {0, 255} <= set(np.unique(expected)), "the test reaches both clamps"


def test_each_condition_image_is_a_clip_of_one_frame_with_noise(autoencoder: TinyAutoencoder) -> None:
    graphs, images = tiny_autoencoder_graphs(autoencoder), _video(2)
    eta, sigma = torch.randn(2, 3, H, W), torch.tensor([0.07])
    clean, noised = (graphs["encode_images"](images, level, eta) for level in (torch.zeros(1), sigma))
    assert [latent.shape for latent in clean] == [(1, 1, 16, H // 8, W // 8)] * 2
    for image in (0, 1):
        one = slice(image, image + 1)
        assert relative_l2(clean[image], graphs["encode_clip"](images[one])) < FLOAT32_ROUND_OFF
        noisy = (images[one].permute(0, 3, 1, 2).double() / 127.5 - 1 + 0.07 * eta[one].double() + 1) / 2
        expected = reference_encode(autoencoder.state_dict(), noisy[[0, 0, 0, 0]])
        assert relative_l2(noised[image][0], expected) < FLOAT32_ROUND_OFF


@pytest.mark.parametrize("frames", [4, 8, 12])
def test_clips_at_once_are_clips_one_by_one(autoencoder: TinyAutoencoder, frames: int) -> None:
    clips = _video(3 * frames).permute(0, 3, 1, 2).float().unflatten(0, (3, frames)) / 255
    latents = autoencoder.encode_clips(clips)
    assert latents.shape == (3, frames // 4, 16, H // 8, W // 8)
    for clip, latent in zip(clips, latents, strict=True):
        assert relative_l2(latent, reference_encode(autoencoder.state_dict(), clip)) < FLOAT32_ROUND_OFF
    clips[1] = 1 - clips[1]
    after = autoencoder.encode_clips(clips)
    assert torch.equal(after[[0, 2]], latents[[0, 2]]), "nothing of one clip reaches another"
    assert not torch.equal(after[1], latents[1])


def test_latent_i_describes_frames_up_to_4i(autoencoder: TinyAutoencoder) -> None:
    graphs, video, latent = tiny_autoencoder_graphs(autoencoder), _video(13), _latents(4)
    for i, frame in itertools.product(range(4), range(13)):
        altered = video.clone()
        altered[frame] = 255 - altered[frame]
        if i == 0 or frame % 4 == 1:  # one comparison a boundary
            changed = graphs["encode_clip"](altered)[0] != graphs["encode_clip"](video)[0]
            first = next(j for j in range(4) if changed[j].any())
            assert first == (frame + 3) // 4
    for i in range(4):
        altered = latent.clone()
        altered[:, i] += 1
        changed = graphs["decode_clip"](altered) != graphs["decode_clip"](latent)
        assert next(j for j in range(13) if changed[j].any()) == max(4 * i - 3, 0)


# Clip equals stream


def test_streaming_equals_the_clip_before_rounding(autoencoder: TinyAutoencoder) -> None:
    frames, latents = repeat_first_frame(_video(17).permute(0, 3, 1, 2) / 255.0), _latents(5)[0]
    memory = _zeros(encoder_memory_shapes(SIZES, H, W))
    encoded = []
    for chunk in frames.split(4):
        latent, memory = autoencoder.encode(chunk, memory)
        encoded.append(latent)
    assert relative_l2(torch.cat(encoded), autoencoder.encode(frames)[0]) < FLOAT32_ROUND_OFF

    memory = _zeros(decoder_memory_shapes(SIZES, H, W))
    decoded = []
    for latent in latents.split(1):
        chunk, memory = autoencoder.decode(latent, memory)
        decoded.append(chunk)
    assert relative_l2(torch.cat(decoded), autoencoder.decode(latents)[0]) < FLOAT32_ROUND_OFF


def test_streaming_graphs_equal_the_clip_graphs(autoencoder: TinyAutoencoder) -> None:
    graphs, video = tiny_autoencoder_graphs(autoencoder), _video(9)
    latent, decoded = _stream(graphs["encode_stream"], graphs["decode_stream"], video)
    clip_latent = graphs["encode_clip"](video)
    assert relative_l2(latent, clip_latent) < FLOAT32_ROUND_OFF
    _assert_same_frames(decoded.numpy(), graphs["decode_clip"](clip_latent).numpy())


def _stream(encode: nn.Module, decode: nn.Module, video: Tensor) -> tuple[Tensor, Tensor]:
    """Encode and decode a clip of 4T−3 frames as a caller of the streaming graphs does."""
    chunks = [video[:1].repeat(4, 1, 1, 1), *video[1:].split(4)]
    to_encoder, to_decoder = _zeros(encoder_memory_shapes(SIZES, H, W)), _zeros(decoder_memory_shapes(SIZES, H, W))
    latents, frames = [], []
    for chunk in chunks:
        latent, *to_encoder = encode(chunk, *to_encoder)
        decoded, *to_decoder = decode(latent, *to_decoder)
        latents.append(latent)
        frames.append(decoded if frames else decoded[3:])
    return torch.cat(latents, dim=1), torch.cat(frames)


def _assert_same_frames(frames: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for values at a tie, which round-off may send to either neighbour."""
    difference = np.abs(frames.astype(np.int16) - expected.astype(np.int16))
    assert difference.max() <= 1
    assert np.mean(difference != 0) < 1e-3


def test_memory_shapes_are_those_the_layers_make(autoencoder: TinyAutoencoder) -> None:
    for shapes, made in (
        (encoder_memory_shapes(SIZES, H, W), autoencoder.encode(torch.rand(4, 3, H, W))[1]),
        (decoder_memory_shapes(SIZES, H, W), autoencoder.decode(torch.rand(1, 16, H // 8, W // 8))[1]),
    ):
        assert list(shapes) == [f"memory_{i:02d}" for i in range(9)]
        assert list(shapes.values()) == [tuple(tensor.shape) for tensor in made]


# The published file


def _published_file(folder: Path, **changes: Tensor | None) -> tuple[Path, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    tensors = {name: (torch.randn(shape, generator=generator) * 0.05).half() for name, shape in TAECVX_LAYOUT.items()}
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    path = folder / "taecvx.safetensors"
    save_file(tensors, path)
    return path, tensors


def test_a_published_file_loads_as_it_is(tmp_path: Path) -> None:
    path, tensors = _published_file(tmp_path)
    model = load_tiny_autoencoder(path, PUBLISHED)
    state = model.state_dict()
    assert set(state) == set(TAECVX_LAYOUT)
    assert all(torch.equal(state[name], tensor.float()) for name, tensor in tensors.items())
    assert not model.training
    frames, latents = torch.rand(4, 3, 16, 24), torch.randn(2, 16, 2, 3)
    assert relative_l2(model.encode(frames)[0], reference_encode(tensors, frames)) < FLOAT32_ROUND_OFF
    assert relative_l2(model.decode(latents)[0], reference_decode(tensors, latents)) < FLOAT32_ROUND_OFF


def test_convolutions_trained_for_more_frames_keep_the_last(tmp_path: Path) -> None:
    wide = torch.randn(512, 256, 1, 1)
    path, _ = _published_file(tmp_path, **{"decoder.7.conv.weight": wide})
    assert torch.equal(load_tiny_autoencoder(path, PUBLISHED).decoder[7].conv.weight, wide[256:])


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("encoder.17.bias", None, r"lacks encoder\.17\.bias"),
        ("decoder.23.weight", torch.zeros(1), r"has unexpected decoder\.23\.weight"),
        (
            "decoder.20.weight",
            torch.zeros(64, 32, 3, 3),
            r"decoder\.20\.weight is \[64, 32, 3, 3\], not \[64, 64, 3, 3\]",
        ),
        ("decoder.13.conv.weight", torch.zeros(300, 128, 1, 1), r"is \[300, 128, 1, 1\], not \[256, 128, 1, 1\]"),
        ("encoder.0.bias", torch.zeros(64, dtype=torch.int32), r"does not hold floats: encoder\.0\.bias"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, name: str, tensor: Tensor | None, message: str) -> None:
    path, _ = _published_file(tmp_path, **{name: tensor})
    with pytest.raises(InputError, match=message):
        load_tiny_autoencoder(path, PUBLISHED)


def test_a_file_of_other_widths_is_refused(tmp_path: Path) -> None:
    path, _ = _published_file(tmp_path)
    with pytest.raises(InputError, match=r"does not fit the preset: .* and \d+ more"):
        load_tiny_autoencoder(path, SIZES)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not safetensors at all", "folder"])
def test_unreadable_files_are_refused(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "taecvx.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    with pytest.raises(InputError, match=r"taecvx\.safetensors"):
        load_tiny_autoencoder(path, PUBLISHED)


# Pixels


def test_pixels_are_the_documented_formula_and_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).repeat(1, 1, 1, 3)
    pixels = pixels_from_uint8(levels)
    assert pixels.shape == (1, 3, 16, 16)
    expected = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
    assert np.array_equal(pixels[0, 0].flatten().numpy(), expected)
    assert torch.equal(uint8_from_pixels(pixels), levels)


def test_frames_are_clamped_and_ties_go_to_even() -> None:
    values = np.array([-9, -1, 0, 1, 9, 1.5 / 127.5 - 1, 2.0**-20], dtype=np.float32)
    out = uint8_from_pixels(torch.from_numpy(values).reshape(1, 1, 1, -1)).flatten().numpy()
    assert out.tolist()[:5] == [0, 0, 128, 255, 255]  # 127.5 is a tie: 128 is even
    expected = np.rint(np.clip((values + np.float32(1)) / np.float32(2), 0, 1) * np.float32(255))
    assert np.array_equal(out, expected.astype(np.uint8))


# The ONNX graphs


def test_exported_streaming_graphs_chain_to_the_clip(autoencoder: TinyAutoencoder) -> None:
    graphs, video = tiny_autoencoder_graphs(autoencoder), _video(9)
    sessions = {
        "encode_stream": _session(graphs, "encode_stream", [video[:4]], ["frames"], encoder_memory_shapes(SIZES, H, W)),
        "decode_stream": _session(
            graphs, "decode_stream", [_latents(1)], ["latent"], decoder_memory_shapes(SIZES, H, W)
        ),
    }
    for session in sessions.values():
        assert session.border_types == {"tensor(uint8)", "tensor(float)"}
        assert all(isinstance(size, int) for shape in session.border_shapes for size in shape)

    def run(name: str) -> Callable[..., list[Tensor]]:
        return lambda *tensors: [torch.from_numpy(a) for a in sessions[name](*(t.numpy() for t in tensors))]

    latent, decoded = _stream(run("encode_stream"), run("decode_stream"), video)
    clip_latent = graphs["encode_clip"](video)
    assert relative_l2(latent, clip_latent) < FLOAT32_ROUND_OFF
    _assert_same_frames(decoded.numpy(), graphs["decode_clip"](clip_latent).numpy())


def test_exported_clip_graphs_equal_torch(autoencoder: TinyAutoencoder) -> None:
    graphs, video = tiny_autoencoder_graphs(autoencoder), _video(9)
    images = [_video(2), torch.tensor([0.05]), torch.randn(2, 3, H, W)]
    encode_images = _session(graphs, "encode_images", images, ["images", "sigma", "eta"])
    encode_clip = _session(graphs, "encode_clip", [video], ["frames"])
    decode_clip = _session(graphs, "decode_clip", [_latents(3)], ["latent"])
    ends = encode_images(*(tensor.numpy() for tensor in images))
    for latent, expected in zip(ends, graphs["encode_images"](*images), strict=True):
        assert relative_l2(latent, expected) < FLOAT32_ROUND_OFF
    (latent,) = encode_clip(video.numpy())
    assert relative_l2(latent, graphs["encode_clip"](video)) < FLOAT32_ROUND_OFF
    (frames,) = decode_clip(latent)
    _assert_same_frames(frames, graphs["decode_clip"](torch.from_numpy(latent)).numpy())


def _session(
    graphs: dict[str, nn.Module],
    name: str,
    inputs: list[Tensor],
    names: list[str],
    memory: dict[str, tuple[int, ...]] | None = None,
) -> Session:
    memory = memory or {}
    session = Session(graphs[name], [*inputs, *_zeros(memory)], [*names, *memory])
    assert session.input_names == [*names, *memory]
    return session
