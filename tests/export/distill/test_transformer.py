"""The training transformer against diffusers' one, which the student's graph is traced from."""

from __future__ import annotations

import pytest
import torch

from tests.export.distill.presets import TEENY
from videoscene_rt.engines.preset import Preset
from videoscene_rt.export.distill.diffusion import Schedule, predict, sample
from videoscene_rt.export.distill.transformer import Transformer, config, initialise
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.student import Student, build_transformer, transformer_config


def both(preset: Preset) -> tuple[Transformer, Student]:
    """The same random weights in both."""
    mine, theirs = Transformer(preset), build_transformer(preset)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=draw))
    theirs.load_state_dict(mine.state_dict(), strict=True)
    return mine.eval(), Student(theirs, preset.schedule)


@pytest.mark.parametrize("preset", [TEENY, load_preset("tiny")], ids=["teeny", "tiny"])
def test_it_computes_what_the_students_graph_computes(preset: Preset) -> None:
    mine, student = both(preset)
    draw = torch.Generator().manual_seed(1)
    z_r, condition, noise = (torch.randn(preset.latent_shape, generator=draw) for _ in range(3))
    prompt = torch.randn(1, preset.student.text_tokens, preset.student.text_width, generator=draw)
    schedule = Schedule.of(preset, torch.device("cpu"))
    for t in preset.policy.timesteps[:2]:
        timestep = torch.tensor([t])
        with torch.no_grad():
            expected = student(z_r, condition, noise, prompt, timestep.to(torch.int32))
            found = predict(mine, schedule, schedule.noised(z_r, noise, timestep), condition, prompt, timestep)
        assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
        assert torch.allclose(sample(mine, schedule, z_r, condition, noise, prompt, timestep), expected, atol=1e-5)


def test_a_batch_is_its_rows() -> None:
    mine, _ = both(TEENY)
    x = torch.randn(3, TEENY.latent_shape[1], 32, *TEENY.latent_shape[3:], generator=torch.Generator().manual_seed(2))
    prompt, timesteps = torch.randn(1, 4, 16), torch.tensor([99, 499, 899])
    with torch.no_grad():
        together = mine(x, prompt, timesteps)
        alone = torch.cat([mine(x[i : i + 1], prompt, timesteps[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "edge"])
def test_its_config_is_the_students(name: str) -> None:
    preset = load_preset(name)
    wanted = {key: value for key, value in transformer_config(preset).items() if value is not None and key != "dropout"}
    found = config(preset)
    assert found.pop("_class_name") == "CogVideoXTransformer3DModel"
    assert found == wanted


def test_before_training_the_velocity_is_zero_and_everything_but_the_gates_has_weights() -> None:
    model = Transformer(TEENY)
    initialise(model, torch.Generator().manual_seed(0))
    x = torch.randn(1, TEENY.latent_shape[1], 32, *TEENY.latent_shape[3:])
    with torch.no_grad():
        assert float(model(x, torch.randn(1, 4, 16), torch.tensor([99])).abs().max()) == 0
    zero = {name for name, parameter in model.named_parameters() if parameter.ndim > 1 and not bool(parameter.any())}
    assert all("norm" in name or name == "proj_out.weight" for name in zero)
