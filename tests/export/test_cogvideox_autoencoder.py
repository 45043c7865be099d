"""The published autoencoder's five graphs, chained chunk by chunk, against diffusers' own encode and decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor, nn

from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder, cogvideox_cache_layouts
from videoscene_rt.export.cogvideox_autoencoder_graphs import cogvideox_autoencoder_graphs
from videoscene_rt.export.conv_cache import flatten, unflatten

from .onnx_session import Session, relative_l2

SIZES = CogVideoXAutoencoderSizes(block_out_channels=(16, 16, 32, 32), layers_per_block=1, norm_num_groups=4)
H, W = 16, 32
LATENT = (16, H // 8, W // 8)
LIMIT = 1e-5
CLIPS = [9, 17, 25, 49]

Graph = Callable[..., list[Tensor]]


class Small:
    """A small random autoencoder, its graphs as torch modules and, exported once each, as ONNX Runtime sessions."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.vae = build_cogvideox_autoencoder(SIZES, H, W)
        # At their initial scale the variances are all alike and every decoded pixel is nearly grey.
        for weight, gain in (
            (self.vae.encoder.conv_out.conv.weight, 5.0),
            (self.vae.decoder.conv_out.conv.weight, 5.0),
        ):
            weight *= gain
        self.encoder_cache, self.decoder_cache = cogvideox_cache_layouts(SIZES, H, W)
        self.modules = cogvideox_autoencoder_graphs(self.vae, self.encoder_cache, self.decoder_cache)
        self.session = cache(self._session)

    def graph(self, kind: str, name: str) -> Graph:
        if kind == "torch":
            return lambda *tensors: _listed(self.modules[name](*tensors))
        session = self.session(name)
        return lambda *tensors: [torch.from_numpy(array) for array in session(*(tensor.numpy() for tensor in tensors))]

    def _session(self, name: str) -> Session:
        names, inputs = _example(name)
        if name.endswith("_next"):
            layout = self.encoder_cache if name == "encode_next" else self.decoder_cache
            names += list(layout.shapes)
            inputs += [torch.zeros(shape) for shape in layout.shapes.values()]
        return Session(self.modules[name], inputs, names)


def _listed(outputs: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def _example(name: str) -> tuple[list[str], list[Tensor]]:
    frames = {"encode_images": 2, "encode_first": 9, "encode_next": 8, "decode_first": 3, "decode_next": 2}[name]
    if name == "encode_images":
        return ["images", "sigma", "eta", "posterior_noise"], [_video(2), torch.ones(1), _eta(), _each_noise()]
    if name.startswith("encode"):
        return ["frames", "posterior_noise"], [_video(frames), _noise(frames // 4 + frames % 2)]
    return ["latent"], [_noise(frames)]


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
def small() -> Small:
    with torch.no_grad():
        return Small()


@pytest.fixture(params=["torch", "onnxruntime"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def _video(frames: int) -> Tensor:
    """Smooth moving colours with some grain: neither constant nor pure noise."""
    rng = np.random.default_rng(frames)
    t, y, x, c = np.ogrid[:frames, :H, :W, :3]
    waves = np.sin(0.3 * t + 0.4 * y + c) + np.cos(0.25 * x - 0.2 * t * (c + 1))
    return torch.from_numpy((127.5 + 50 * waves + rng.uniform(-20, 20, waves.shape)).astype(np.uint8))


def _pixels(video: Tensor) -> Tensor:
    return (video.float() / 127.5 - 1).permute(3, 0, 1, 2)[None]


def _noise(latent_frames: int) -> Tensor:
    return torch.randn(1, latent_frames, *LATENT, generator=torch.Generator().manual_seed(latent_frames))


def _eta() -> Tensor:
    return torch.randn(2, 3, H, W, generator=torch.Generator().manual_seed(7))


def _each_noise() -> Tensor:
    return torch.randn(2, 1, *LATENT, generator=torch.Generator().manual_seed(8))


def _published_latent(vae: AutoencoderKLCogVideoX, pixels: Tensor, noise: Tensor) -> Tensor:
    posterior = vae.encode(pixels).latent_dist
    return (0.7 * (posterior.mean + posterior.std * noise.transpose(1, 2))).transpose(1, 2)


def _published_video(vae: AutoencoderKLCogVideoX, latent: Tensor) -> Tensor:
    return vae.decode(latent.transpose(1, 2) / 0.7).sample[0].permute(1, 2, 3, 0)


def _encode(small: Small, kind: str, video: Tensor, noise: Tensor) -> Tensor:
    """The chain of encode_first and encode_next as the runtime runs it."""
    latents: list[Tensor] = []
    cached: list[Tensor] = []
    for (start, stop), (first, last) in zip(frame_chunks(len(video)), latent_chunks(noise.shape[1]), strict=True):
        graph = small.graph(kind, "encode_next" if latents else "encode_first")
        latent, *cached = graph(video[start:stop], noise[:, first:last], *cached)
        latents.append(latent)
    return torch.cat(latents, dim=1)


def _decode(small: Small, kind: str, latent: Tensor) -> Tensor:
    """The chain of decode_first and decode_next as the runtime runs it."""
    frames: list[Tensor] = []
    cached: list[Tensor] = []
    for first, last in latent_chunks(latent.shape[1]):
        graph = small.graph(kind, "decode_next" if frames else "decode_first")
        chunk, *cached = graph(latent[:, first:last], *cached)
        frames.append(chunk)
    return torch.cat(frames)


@pytest.mark.parametrize("frames", CLIPS)
def test_encoding_in_chunks_is_diffusers_encode(small: Small, kind: str, frames: int) -> None:
    video, noise = _video(frames), _noise((frames - 1) // 4 + 1)
    expected = _published_latent(small.vae, _pixels(video), noise)
    assert relative_l2(_encode(small, kind, video, noise), expected) < LIMIT


@pytest.mark.parametrize("frames", CLIPS)
def test_decoding_in_chunks_is_diffusers_decode(small: Small, kind: str, frames: int) -> None:
    latent = _noise((frames - 1) // 4 + 1)
    expected = ((_published_video(small.vae, latent) / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    decoded = _decode(small, kind, latent).numpy()
    assert decoded.shape == (frames, H, W, 3)
    assert np.abs(decoded.astype(np.int16) - expected).max() <= 1
    assert np.mean(decoded != expected) < 1e-3
    assert expected.std() > 20
    assert {0, 255} <= set(np.unique(expected)), "the test reaches both clamps"


@pytest.mark.parametrize("frames", CLIPS)
def test_decoded_floats_before_rounding(small: Small, frames: int) -> None:
    latent = _noise((frames - 1) // 4 + 1)
    chunks: list[Tensor] = []
    cached: list[Tensor] = []
    for first, last in latent_chunks(latent.shape[1]):
        module = small.modules["decode_next" if chunks else "decode_first"]
        chunk, cached = module.decode(latent[:, first:last], tuple(cached))
        chunks.append(chunk)
    assert relative_l2(torch.cat(chunks).permute(0, 2, 3, 1), _published_video(small.vae, latent)) < LIMIT


@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_each_condition_image_is_diffusers_encode_of_one_noised_frame(small: Small, kind: str, sigma: float) -> None:
    images, eta, noise = _video(2), _eta(), _each_noise()
    latents = small.graph(kind, "encode_images")(images, torch.tensor([sigma]), eta, noise)
    assert [latent.shape for latent in latents] == [(1, 1, *LATENT)] * 2
    for image, latent in enumerate(latents):
        one = slice(image, image + 1)
        expected = _published_latent(small.vae, _pixels(images[one]) + sigma * eta[one, :, None], noise[one])
        assert relative_l2(latent, expected) < LIMIT


def test_nothing_of_one_condition_image_reaches_the_other(small: Small, kind: str) -> None:
    encode, images, given = small.graph(kind, "encode_images"), _video(2), (torch.zeros(1), _eta(), _each_noise())
    before = encode(images, *given)
    for changed in (0, 1):
        other = images.clone()
        other[changed] = 255 - other[changed]
        after = encode(other, *given)
        assert torch.equal(after[1 - changed], before[1 - changed])
        assert not torch.equal(after[changed], before[changed])


def test_posterior_variance_is_clamped_as_in_diffusers() -> None:
    torch.manual_seed(1)
    vae = build_cogvideox_autoencoder(SIZES, H, W)
    vae.encoder.conv_out.conv.bias[16:] = torch.linspace(-60, 40, 16)  # log-variances beyond both ends of -30 … 20
    graphs = cogvideox_autoencoder_graphs(vae, *cogvideox_cache_layouts(SIZES, H, W))
    images, noise = _video(2), _each_noise()
    expected = _published_latent(vae, _pixels(images[:1]), noise[:1])
    first, _ = graphs["encode_images"](images, torch.zeros(1), _eta(), noise)
    for channel in range(16):
        assert relative_l2(first[:, :, channel], expected[:, :, channel]) < LIMIT


def test_the_scaling_factor_is_the_presets(small: Small) -> None:
    sizes = SIZES.model_copy(update={"scaling_factor": 1.4})
    vae = build_cogvideox_autoencoder(sizes, H, W)
    vae.load_state_dict(small.vae.state_dict())
    graphs = cogvideox_autoencoder_graphs(vae, small.encoder_cache, small.decoder_cache)
    frames, noise = _video(9), _noise(3)
    latent, doubled = (modules["encode_first"](frames, noise)[0] for modules in (small.modules, graphs))
    assert relative_l2(doubled, 2 * latent) < LIMIT
    assert torch.equal(graphs["decode_first"](doubled)[0], small.modules["decode_first"](doubled / 2)[0])


def test_the_chunks_matter(small: Small) -> None:
    """Group norms span a chunk: without the cache, or with other chunks, the result is another."""
    latent = _noise(5)
    expected = _published_video(small.vae, latent)
    alone = small.vae.decode(latent[:, 3:].transpose(1, 2) / 0.7).sample[0].permute(1, 2, 3, 0)
    assert relative_l2(alone, expected[9:]) > 1e-2


def test_graph_borders(small: Small) -> None:
    """Names, types and static shapes are those of the architecture document."""
    u8, f32 = "tensor(uint8)", "tensor(float)"
    images = small.session("encode_images").border_shapes
    assert images == [(2, H, W, 3), (1,), (2, 3, H, W), (2, 1, *LATENT), (1, 1, *LATENT), (1, 1, *LATENT)]
    for name, frames in {"encode_first": 9, "encode_next": 8}.items():
        session, latent = small.session(name), (1, (frames + 3) // 4, *LATENT)
        assert session.border_types == {u8, f32}
        assert session.border_shapes[0] == (frames, H, W, 3)
        assert latent in session.border_shapes
    for name, frames in {"decode_first": 3, "decode_next": 2}.items():
        session = small.session(name)
        assert session.border_types == {u8, f32}
        assert session.border_shapes[0] == (1, frames, *LATENT)
        assert (frames * 4 - 3 * (frames % 2), H, W, 3) in session.border_shapes
    for name, layout in {"encode_next": small.encoder_cache, "decode_next": small.decoder_cache}.items():
        names, shapes = small.session(name).input_names, small.session(name).border_shapes
        own = len(names) - len(layout.shapes)
        assert names == [*_example(name)[0], *layout.shapes]
        assert shapes[own : len(names)] == list(layout.shapes.values())
        assert shapes[len(names) + 1 :] == list(layout.shapes.values())


def test_cache_layout_of_the_published_sizes() -> None:
    """Recorded with diffusers 0.42 for 480×720: 30 and 38 tensors, 1.80 and 2.81 GB in half precision."""
    encoder, decoder = cogvideox_cache_layouts(CogVideoXAutoencoderSizes(), 480, 720)
    for layout, count, gigabytes in ((encoder, 30, 1.80), (decoder, 38, 2.81)):
        assert list(layout.shapes) == [f"cache_{i:02d}" for i in range(count)]
        elements = sum(int(np.prod(shape)) for shape in layout.shapes.values())
        assert 2 * elements / 1e9 == pytest.approx(gigabytes, abs=0.005)
    assert encoder.shapes["cache_00"] == (1, 3, 2, 480, 720)
    assert decoder.shapes["cache_00"] == (1, 16, 2, 60, 90)


def test_flatten_and_unflatten_are_inverse_and_drop_what_nothing_reads() -> None:
    a, b, c = (torch.full((1,), value) for value in (1.0, 2.0, 3.0))
    nested = {
        "conv_in": a,
        "block": {"norm1": {"conv_y": c, "conv_b": c}, "conv1": b, "conv_shortcut": None},
        "norm_out": {"conv_y": c},
    }
    flat = flatten(nested)
    assert flat == {("conv_in",): a, ("block", "conv1"): b}
    assert unflatten(list(flat), list(flat.values())) == {"conv_in": a, "block": {"conv1": b}}
    with pytest.raises(ValueError, match="zip"):
        unflatten(list(flat), [a])


def test_a_cache_of_the_wrong_length_is_refused(small: Small) -> None:
    module: nn.Module = small.modules["decode_next"]
    with pytest.raises(ValueError, match="zip"):
        module(_noise(2), torch.zeros(1, 16, 2, *LATENT[1:]))
