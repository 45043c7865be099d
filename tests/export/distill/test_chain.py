"""The batched chain against the graphs' modules; the schedule and the sampler against their definitions."""

from __future__ import annotations

import numpy as np
import torch

from tests.export.distill.presets import CPU, TEENY
from videoscene_rt.chain.noise import draw_noise
from videoscene_rt.export.distill.autoencoding import decode, encode, unit_frames
from videoscene_rt.export.distill.chain import Chain, decoded, deployed_noise, encode_clips, logits
from videoscene_rt.export.distill.clips import Clips
from videoscene_rt.export.distill.diffusion import Schedule, sample
from videoscene_rt.export.distill.run import Models
from videoscene_rt.export.distill.transformer import Transformer
from videoscene_rt.export.schedule import alphas_cumprod
from videoscene_rt.export.seeding import seed_weights
from videoscene_rt.export.tiny_autoencoder_graphs import tiny_autoencoder_graphs

SCHEDULE = Schedule.of(TEENY, CPU)


def models() -> Models:
    made = Models.fresh(TEENY, 1, CPU)
    seed_weights(made.transformer, 5)
    return made


def clips() -> Clips:
    draw = torch.Generator().manual_seed(0)

    def levels(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)

    return Clips(levels(2, 9, 32, 48, 3), levels(2, 9, 32, 48) % 2, levels(2, 9, 32, 48, 3), levels(2, 2, 32, 48, 3))


def test_a_batch_is_encoded_and_decoded_as_the_graphs_do_one_clip() -> None:
    made, batch = models(), clips()
    chain = Chain(made.autoencoder, made.transformer, made.policy, made.prompt, SCHEDULE)
    graphs = tiny_autoencoder_graphs(made.autoencoder)
    encoded = encode_clips(chain, batch)
    frames = decoded(chain, encoded.z_r)
    zero = torch.zeros(1), torch.zeros(2, 3, 32, 48)
    with torch.no_grad():
        for row in range(2):
            z_r = graphs["encode_clip"](batch.coarse[row])
            assert torch.allclose(encoded.z_r[row], z_r[0], atol=1e-5)
            first, last = graphs["encode_images"](batch.images[row], *zero)
            assert torch.allclose(encoded.condition[row, :1], first[0], atol=1e-5)
            assert torch.allclose(encoded.condition[row, -1:], last[0], atol=1e-5)
            assert not bool(encoded.condition[row, 1:-1].any())
            expected = graphs["decode_clip"](encoded.z_r[row : row + 1])
            assert int((frames[row].int() - expected.int()).abs().max()) <= 1


def test_a_clips_first_latent_is_its_first_images() -> None:
    """So a student finds the first frame's target in its condition."""
    made, batch = models(), clips()
    frames = unit_frames(batch.clean)
    with torch.no_grad():
        assert torch.allclose(
            encode(made.autoencoder, frames)[:, :1], encode(made.autoencoder, frames[:, :1]), atol=1e-6
        )
        assert decode(made.autoencoder, encode(made.autoencoder, frames)).shape == frames.shape


def test_the_policys_scores_of_a_batch_are_those_of_its_graph() -> None:
    policy = models().policy
    z_r = torch.randn(3, *TEENY.latent_shape[1:]) * torch.tensor([0.1, 1.0, 5.0]).view(3, 1, 1, 1, 1)
    with torch.no_grad():
        together = logits(policy, z_r)
        alone = torch.cat([policy(z_r[i : i + 1])[1] for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_deployed_noise_is_the_runtimes() -> None:
    assert np.array_equal(deployed_noise(TEENY, 7, CPU).numpy(), draw_noise(TEENY, 7)["noise"])


def test_noising_follows_the_schedule() -> None:
    z, noise = torch.randn(2, 3, 16, 4, 6), torch.randn(2, 3, 16, 4, 6)
    timestep = torch.tensor([99, 899])
    alpha = torch.from_numpy(alphas_cumprod()[[99, 899]]).view(2, 1, 1, 1, 1)
    expected = alpha.sqrt() * z.double() + (1 - alpha).sqrt() * noise.double()
    x_t = SCHEDULE.noised(z, noise, timestep)
    assert torch.allclose(x_t.double(), expected, atol=1e-6)
    velocity = alpha.sqrt() * noise.double() - (1 - alpha).sqrt() * z.double()
    assert torch.allclose(SCHEDULE.origin(x_t, velocity.float(), timestep), z, atol=1e-5)
    # Moving along the path keeps its z_0 and its noise.
    nearer = torch.tensor([49, 399])
    assert torch.allclose(SCHEDULE.moved(x_t, z, timestep, nearer), SCHEDULE.noised(z, noise, nearer), atol=1e-4)


def test_more_steps_of_a_perfect_student_end_where_one_does() -> None:
    """A student that always predicts the velocity of one z_0 gives that z_0, in however many steps, from each timestep once."""
    target = torch.randn(1, 3, 16, 4, 6)
    seen: list[int] = []

    class Perfect(Transformer):
        def forward(self, x: torch.Tensor, prompt: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            seen.append(int(timestep[0]))
            t = int(timestep[0])
            return (SCHEDULE.signal[t] * x[:, :, :16] - target) / SCHEDULE.spread[t]

    student = Perfect(TEENY)
    z_r, noise, nothing = torch.randn_like(target), torch.randn_like(target), torch.zeros_like(target)
    prompt, start = torch.zeros(1, 4, 16), torch.tensor([499])
    for steps, expected in ((1, [499]), (4, [499, 374, 250, 125])):
        seen.clear()
        found = sample(student, SCHEDULE, z_r, nothing, noise, prompt, start, steps)
        assert torch.allclose(found, target, atol=1e-4)
        assert seen == expected
