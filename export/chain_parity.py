"""The whole chain of traced graphs against the published step in plain torch, every random tensor given to both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from videoscene_rt.engines.chunking import frame_chunks, latent_chunks
from videoscene_rt.engines.halves import KIND, Half, images_graph
from videoscene_rt.engines.preset import Preset
from videoscene_rt.engines.specs import Parity
from videoscene_rt.export.graph_source import PARITY_LIMIT, GraphSource
from videoscene_rt.export.kept import Kept
from videoscene_rt.export.models import Models
from videoscene_rt.export.parity import Run, compare, require, run_file
from videoscene_rt.export.reference import (
    Autoencoder,
    PublishedModules,
    StepInputs,
    StepNoises,
    published_autoencoder,
    published_step,
)
from videoscene_rt.export.schedule import alphas_cumprod
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder, repeat_first_frame

Arrays = dict[str, np.ndarray]


def prove_chains(
    models: Models, preset: Preset, sources: list[GraphSource], folder: Path, kept: Kept, run: Run | None = None
) -> Parity:
    """The chain of the default encoder and decoder; and so many more chains that each one that is kept is in one of them.

    Args:
        kept: the encoders and decoders. The rest: see `prove_chain`.

    Returns:
        The default chain's figures; the worst ones of each other chain are its ``parts``.

    Raises:
        ParityError: see `prove_chain`.
    """
    first, *others = (prove_chain(models, preset, sources, folder, run, pair) for pair in kept.pairs)
    if not others:
        return first
    named = zip(kept.pairs[1:], others, strict=True)
    parts = {
        f"{encoder} encoder, {decoder} decoder": max(found.relative_l2.values()) for (encoder, decoder), found in named
    }
    return first.model_copy(update={"parts": {**first.parts, **parts}})


def prove_chain(
    models: Models,
    preset: Preset,
    sources: list[GraphSource],
    folder: Path,
    run: Run | None = None,
    pair: tuple[Half, Half] | None = None,
) -> Parity:
    """Run one step both ways on a random cloud and random images, with everything that the published code draws.

    Args:
        models: may lie on the meta device.
        preset: their sizes.
        sources: what the graphs were traced from.
        folder: where their files are, each named after its graph.
        run: how a file is run; see `prove`.
        pair: the encoder and the decoder; None takes the preset's own.

    Raises:
        ParityError: z_r, z_0 or the frames differ by more than the limit.
    """
    rng = np.random.default_rng(2)
    own = KIND[preset.autoencoder.kind]
    encoder, decoder = pair or (own, own)
    graphs = _Graphs(folder, {source.name: source for source in sources}, run or run_file)
    noises = _noises(preset, rng)
    images = rng.integers(0, 256, (2, preset.height, preset.width, 3), dtype=np.uint8)
    view = graphs.sources["renderer"].example(rng)
    coarse = graphs.run("renderer", *(tensor.numpy() for tensor in view))["frames"]

    z_r = _encode(graphs, preset, coarse, noises.video_posterior, encoder)
    timestep = graphs.run("policy", z_r)["timestep"]
    given = StepInputs(
        torch.from_numpy(coarse),
        torch.from_numpy(images[0]),
        torch.from_numpy(images[1]),
        models.prompt,
        int(timestep[0]),
    )
    with ExitStack() as present:
        for module in (models.transformer, models.autoencoder, *(() if models.tiny is None else (models.tiny,))):
            present.enter_context(models.numbers.present(module))
        expected = published_step(published_modules(models, preset, (encoder, decoder)), given, noises)
    condition = np.zeros_like(z_r)
    condition[:, :1], condition[:, -1:] = _encode_images(graphs, images_graph(own, encoder), images, noises)
    epsilon = noises.epsilon.numpy()
    z_0 = graphs.run("student", z_r, condition, epsilon, models.prompt.numpy(), timestep)["z_0"]
    found = {"z_r": z_r, "condition": condition, "z_0": z_0, "frames": _decode(graphs, preset, z_0, decoder)}
    tensors = {
        "z_r": expected["z_r"],
        "condition": expected["c"],
        "z_0": expected["z_0"],
        "frames": _levels(expected),
    }
    reference = {name: tensor.numpy() for name, tensor in tensors.items()}
    label = f"the published step in torch {torch.__version__}"
    return require(compare(found, reference, label, PARITY_LIMIT), "chain")


def _levels(step: dict[str, torch.Tensor]) -> torch.Tensor:
    """The reference's frames before rounding, float32[F,H,W,3] in 0…255."""
    return ((step["video"][0] / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 3, 0)


class _Graphs:
    """The traced files, run once each on ONNX Runtime."""

    def __init__(self, folder: Path, sources: dict[str, GraphSource], run_one: Run) -> None:
        self.folder, self.sources, self.run_one = folder, sources, run_one

    def run(self, name: str, *inputs: np.ndarray) -> Arrays:
        source = self.sources[name]
        named = {spec.name: array for spec, array in zip(source.inputs, inputs, strict=True)}
        return self.run_one(self.folder / f"{name}.onnx", source, named)

    def chunks(
        self, first: str, following: str, chunks: Sequence[tuple[np.ndarray, ...]], output: str
    ) -> list[np.ndarray]:
        """Run a chunked half of the autoencoder, its caches handed on by hand."""
        results: list[np.ndarray] = []
        state: tuple[np.ndarray, ...] = ()
        for number, chunk in enumerate(chunks):
            found = self.run(first if number == 0 else following, *chunk, *state)
            results.append(found.pop(output))
            state = tuple(found.values())
        return results


def _encode(graphs: _Graphs, preset: Preset, frames: np.ndarray, noise: torch.Tensor, encoder: Half) -> np.ndarray:
    if encoder == "tiny":
        return graphs.run("encode_clip", frames)["latent"]
    posterior = _frames_first(noise)
    spans = zip(frame_chunks(preset.frames), latent_chunks(preset.latent_frames), strict=True)
    chunks = [(frames[a:b], np.ascontiguousarray(posterior[:, c:d])) for (a, b), (c, d) in spans]
    return np.concatenate(graphs.chunks("encode_first", "encode_next", chunks, "latent"), axis=1)


def _decode(graphs: _Graphs, preset: Preset, latent: np.ndarray, decoder: Half) -> np.ndarray:
    if decoder == "tiny":
        return graphs.run("decode_clip", latent)["frames"]
    chunks = [(np.ascontiguousarray(latent[:, a:b]),) for a, b in latent_chunks(preset.latent_frames)]
    return np.concatenate(graphs.chunks("decode_first", "decode_next", chunks, "frames"))


def _encode_images(graphs: _Graphs, name: str, images: np.ndarray, noises: StepNoises) -> tuple[np.ndarray, np.ndarray]:
    eta = torch.cat((noises.first_eta, noises.last_eta))
    inputs = [images, np.array([noises.sigma], np.float32), eta.numpy()]
    if len(graphs.sources[name].inputs) == 4:
        inputs.append(_frames_first(torch.cat((noises.first_posterior, noises.last_posterior))))
    found = graphs.run(name, *inputs)
    return found["first"], found["last"]


def _frames_first(latent: torch.Tensor) -> np.ndarray:
    """[N,16,T,h,w] → [N,T,16,h,w]."""
    return np.ascontiguousarray(latent.permute(0, 2, 1, 3, 4).numpy())


def _noises(preset: Preset, rng: np.random.Generator) -> StepNoises:
    _, frames, channels, height, width = preset.latent_shape

    def draw(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    image, one = (1, 3, preset.height, preset.width), (1, channels, 1, height, width)
    return StepNoises(
        video_posterior=draw(1, channels, frames, height, width),
        sigma=float(np.float32(np.exp(-3 + 0.5 * rng.standard_normal()))),
        first_eta=draw(*image),
        first_posterior=draw(*one),
        last_eta=draw(*image),
        last_posterior=draw(*one),
        epsilon=draw(*preset.latent_shape),
    )


def published_modules(models: Models, preset: Preset, pair: tuple[Half, Half] | None = None) -> PublishedModules:
    """What the reference runs for these models, with the schedule rounded as the preset says.

    Args:
        pair: the encoder and the decoder; None takes the preset's own.
    """
    alphas = torch.from_numpy(alphas_cumprod(preset.schedule.snr_shift))
    if preset.schedule.rounding == "bfloat16":
        alphas = alphas.to(torch.bfloat16)
    own = KIND[preset.autoencoder.kind]
    encoder, decoder = (_autoencoder(models, own, half) for half in pair or (own, own))
    return PublishedModules(models.transformer, _joined(encoder, decoder), alphas)


def _autoencoder(models: Models, own: Half, half: Half) -> Autoencoder:
    module = models.autoencoder if half == own else models.tiny
    if isinstance(module, TinyAutoencoder):
        return _tiny_reference(module)
    assert module is not None
    return published_autoencoder(module)


def _joined(encoder: Autoencoder, decoder: Autoencoder) -> Autoencoder:
    """One autoencoder's encoder with another one's decoder: each in its own scale."""
    ratio = encoder.scaling_factor / decoder.scaling_factor
    if ratio == 1:
        return Autoencoder(encoder.encode, decoder.decode, encoder.scaling_factor)
    return Autoencoder(encoder.encode, lambda latent: decoder.decode(latent * ratio), encoder.scaling_factor)


def _tiny_reference(autoencoder: TinyAutoencoder) -> Autoencoder:
    """The tiny autoencoder in diffusers' layout: video [1,3,F,H,W] in −1…1, latents [1,16,T,h,w], no posterior."""

    def encode(video: torch.Tensor) -> tuple[torch.Tensor, None]:
        pixels = (video[0].permute(1, 0, 2, 3) + 1) / 2
        return autoencoder.encode(repeat_first_frame(pixels))[0].permute(1, 0, 2, 3)[None], None

    def decode(latent: torch.Tensor) -> torch.Tensor:
        frames = autoencoder.decode(latent[0].permute(1, 0, 2, 3))[0][3:]
        return frames.permute(1, 0, 2, 3)[None] * 2 - 1

    return Autoencoder(encode, decode, 1.0)
