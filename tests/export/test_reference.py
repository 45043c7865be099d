"""The reference step against diffusers' autoencoder, scheduler and transformer, called as published."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from diffusers.video_processor import VideoProcessor

from videoscene_rt.export.reference import (
    Autoencoder,
    PublishedModules,
    StepInputs,
    StepNoises,
    published_autoencoder,
    published_step,
)
from videoscene_rt.export.rope import CatRopeProcessor
from videoscene_rt.export.seeding import seed_weights

FRAMES, HEIGHT, WIDTH = 9, 32, 48
T, ROWS, COLUMNS = 3, 4, 6
LATENT = (1, 16, T, ROWS, COLUMNS)


def relative(found, expected):
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.fixture(scope="module")
def transformer():
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=32,
        out_channels=16,
        time_embed_dim=32,
        text_embed_dim=24,
        max_text_seq_length=5,
        num_layers=2,
        sample_width=COLUMNS,
        sample_height=ROWS,
        sample_frames=FRAMES,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )
    seed_weights(transformer, 0)
    return transformer.eval()


@pytest.fixture(scope="module")
def vae():
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=16,
        norm_num_groups=2,
        scaling_factor=0.7,
        temporal_compression_ratio=4,
    )
    seed_weights(vae, 0)
    return vae.eval()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(0)

    def picture(*shape):
        return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

    return StepInputs(
        frames=picture(FRAMES, HEIGHT, WIDTH, 3),
        first_image=picture(HEIGHT, WIDTH, 3),
        last_image=picture(HEIGHT, WIDTH, 3),
        prompt=torch.randn(1, 5, 24, generator=generator),
        timestep=459,
    )


@pytest.fixture(scope="module")
def noises():
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return StepNoises(
        video_posterior=normal(*LATENT),
        sigma=0.3,
        first_eta=normal(1, 3, HEIGHT, WIDTH),
        first_posterior=normal(1, 16, 1, ROWS, COLUMNS),
        last_eta=normal(1, 3, HEIGHT, WIDTH),
        last_posterior=normal(1, 16, 1, ROWS, COLUMNS),
        epsilon=normal(1, T, 16, ROWS, COLUMNS),
    )


def scheduler():
    return CogVideoXDPMScheduler(
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
    )


def sampled(posterior, noise):
    """latent_dist.sample() with its noise given: mean + std·noise."""
    return posterior.mean + posterior.std * noise


@torch.no_grad()
def by_diffusers(vae, transformer, inputs, noises):
    """The published code's calls in its order, its random draws replaced."""
    factor = vae.config.scaling_factor
    video = (2 * (inputs.frames.float() / 255) - 1).unsqueeze(0).permute(0, 4, 1, 2, 3)
    video_latents = sampled(vae.encode(video).latent_dist, noises.video_posterior) * factor
    images = []
    for image, eta, posterior in (
        (inputs.first_image, noises.first_eta, noises.first_posterior),
        (inputs.last_image, noises.last_eta, noises.last_posterior),
    ):
        x = VideoProcessor(vae_scale_factor=8).preprocess(image.permute(2, 0, 1)[None].float() / 255, HEIGHT, WIDTH)
        noisy = x.unsqueeze(2) + eta.unsqueeze(2) * noises.sigma
        images.append((sampled(vae.encode(noisy).latent_dist, posterior) * factor).permute(0, 2, 1, 3, 4))
    z_r = video_latents.permute(0, 2, 1, 3, 4)
    padding = images[0].new_zeros(1, T - 2, 16, ROWS, COLUMNS)
    c = torch.cat([images[0], padding, images[1]], dim=1)
    timesteps = torch.tensor([inputs.timestep])
    schedule = scheduler()
    x_t = schedule.add_noise(z_r, noises.epsilon, timesteps)
    grid = (ROWS // 2, COLUMNS // 2)
    v = transformer(
        hidden_states=torch.cat([x_t, c], dim=2),
        encoder_hidden_states=inputs.prompt,
        timestep=timesteps,
        image_rotary_emb=get_3d_rotary_pos_embed(16, ((0, 0), grid), grid, T),
    ).sample
    # For a v-prediction, get_velocity with its first two arguments swapped is x_0; the published code relies on it.
    z_0 = schedule.get_velocity(v, x_t, timesteps)
    decoded = vae.decode(1 / factor * z_0.permute(0, 2, 1, 3, 4)).sample
    frames = VideoProcessor(vae_scale_factor=8).postprocess_video(decoded, output_type="np")[0]
    results = {"z_r": z_r, "z_1": images[0], "z_L": images[1], "c": c, "x_t": x_t, "v": v, "z_0": z_0}
    return {**results, "video": decoded, "frames": torch.from_numpy((frames * 255).round()).to(torch.uint8)}


def test_every_intermediate_is_diffusers(vae, transformer, inputs, noises):
    # The scheduler rounds ᾱ to its sample's dtype, float32; so does the reference when it is given ᾱ in float32.
    modules = PublishedModules(transformer, published_autoencoder(vae), scheduler().alphas_cumprod.float())
    found = published_step(modules, inputs, noises)
    expected = by_diffusers(vae, transformer, inputs, noises)
    assert set(found) == set(expected)
    for name in ("z_r", "z_1", "z_L", "c", "x_t", "v", "z_0", "video"):
        assert found[name].shape == expected[name].shape, name
        assert relative(found[name], expected[name]) <= 2e-6, name
    assert found["frames"].shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert found["frames"].dtype == torch.uint8
    assert found["frames"].float().std() > 1
    assert (found["frames"].int() - expected["frames"].int()).abs().max() <= 1
    assert (found["frames"] == expected["frames"]).float().mean() > 0.999


def test_the_posterior_is_diffusers_own_sample(vae, inputs):
    video = inputs.frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    with torch.no_grad():
        posterior = vae.encode(video).latent_dist
        drawn = posterior.sample(torch.Generator().manual_seed(7))
        mean, logvar = published_autoencoder(vae).encode(video)
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(7))
    assert torch.equal(drawn, mean + torch.exp(0.5 * logvar) * noise)


@pytest.fixture(scope="module")
def base(vae, transformer, inputs, noises):
    modules = PublishedModules(transformer, published_autoencoder(vae), scheduler().alphas_cumprod)
    return modules, published_step(modules, inputs, noises)


@pytest.mark.parametrize(
    ("changed", "affected"),
    [
        ("video_posterior", {"z_r", "x_t"}),
        ("first_eta", {"z_1", "c"}),
        ("first_posterior", {"z_1", "c"}),
        ("last_eta", {"z_L", "c"}),
        ("last_posterior", {"z_L", "c"}),
        ("sigma", {"z_1", "z_L", "c"}),
        ("epsilon", {"x_t"}),
    ],
)
def test_each_noise_enters_where_it_should(base, inputs, noises, changed, affected):
    modules, before = base
    after = published_step(modules, inputs, _with(noises, **{changed: getattr(noises, changed) * 1.5}))
    for name in ("z_r", "z_1", "z_L", "c", "x_t"):
        assert torch.equal(before[name], after[name]) == (name not in affected), name
    assert not torch.equal(before["z_0"], after["z_0"])


def test_alphas_in_bfloat16_are_rounded_as_the_published_code_rounds(vae, transformer, inputs, noises):
    modules = PublishedModules(transformer, published_autoencoder(vae), scheduler().alphas_cumprod.bfloat16())
    step = published_step(modules, inputs, noises)
    one, zero, t = torch.ones(1).bfloat16(), torch.zeros(1).bfloat16(), torch.tensor([inputs.timestep])
    signal, spread = scheduler().add_noise(one, zero, t).float(), scheduler().add_noise(zero, one, t).float()
    assert torch.equal(step["x_t"], signal * step["z_r"] + spread * noises.epsilon)
    assert torch.equal(step["z_0"], signal * step["x_t"] - spread * step["v"])


def test_an_autoencoder_without_a_posterior(transformer, inputs, noises):
    """Any pair of callables will do; this one takes every eighth pixel and every fourth frame."""

    def encode(video):
        small = video[:, :, ::4, ::8, ::8]
        return torch.cat([small] * 5 + [small[:, :1]], dim=1), None

    def decode(latent):
        return latent[:, :3].repeat_interleave(4, 2)[:, :, 3:].repeat_interleave(8, 3).repeat_interleave(8, 4)

    modules = PublishedModules(transformer, Autoencoder(encode, decode, 1.0), scheduler().alphas_cumprod)
    step = published_step(modules, inputs, noises)
    pixels = inputs.frames[4, 8, 16].double() / 127.5 - 1
    assert relative(step["z_r"][0, 1, :3, 1, 2], pixels) < 1e-6
    assert step["frames"].shape == (FRAMES, HEIGHT, WIDTH, 3)
    first = (step["video"][0, :, 0, 0, 0].clamp(-1, 1) + 1) * 127.5
    assert (step["frames"][0, 0, 0].float() - first).abs().max() <= 0.5001


def test_the_transformer_is_diffusers_own_while_it_runs_and_given_back(base, transformer, inputs, noises):
    modules, before = base

    class Broken(CatRopeProcessor):
        def __call__(self, *args, **kwargs):
            raise RuntimeError("the reference used an attention that is not diffusers'")

    kept = transformer.time_proj
    transformer.set_attn_processor(Broken())
    transformer.time_proj = torch.nn.Identity()
    try:
        assert torch.equal(published_step(modules, inputs, noises)["v"], before["v"])
        assert all(isinstance(processor, Broken) for processor in transformer.attn_processors.values())
        assert isinstance(transformer.time_proj, torch.nn.Identity)
    finally:
        transformer.time_proj = kept
        transformer.set_attn_processor(CogVideoXAttnProcessor2_0())


def _with(noises, **changes):
    return StepNoises(**{**vars(noises), **changes})
