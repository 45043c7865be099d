"""The student against diffusers' own transformer, and its trace against the student."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler
from diffusers.models.attention_processor import CogVideoXAttnProcessor2_0
from diffusers.models.embeddings import get_3d_rotary_pos_embed

import videoscene_rt.export.presets
from videoscene_rt.engines.preset import PolicySizes, Preset, ScheduleSettings, StudentSizes, TinyAutoencoderSizes
from videoscene_rt.export.rope import CatRopeProcessor, crop_region, rope_tables
from videoscene_rt.export.seeding import seed_weights
from videoscene_rt.export.student import Student, build_transformer, transformer_config

NAMES = ("z_r", "condition", "noise", "prompt", "timestep")
NARROW = Preset(
    name="narrow",
    frames=9,
    height=32,
    width=64,
    max_points=100,
    student=StudentSizes(blocks=2, heads=2, head_dim=16, text_tokens=5, text_width=24, time_embed_dim=32),
    autoencoder=TinyAutoencoderSizes(),
    policy=PolicySizes(candidates=(500,)),
)

# transformer/config.json of CogVideoX-5B-I2V as published, less its two underscored entries.
PUBLISHED_CONFIG = json.loads("""{
  "activation_fn": "gelu-approximate", "attention_bias": true, "attention_head_dim": 64, "dropout": 0.0,
  "flip_sin_to_cos": true, "freq_shift": 0, "in_channels": 32, "max_text_seq_length": 226,
  "norm_elementwise_affine": true, "norm_eps": 1e-05, "num_attention_heads": 48, "num_layers": 42, "out_channels": 16,
  "patch_size": 2, "sample_frames": 49, "sample_height": 60, "sample_width": 90, "spatial_interpolation_scale": 1.875,
  "temporal_compression_ratio": 4, "temporal_interpolation_scale": 1.0, "text_embed_dim": 4096, "time_embed_dim": 512,
  "timestep_activation_fn": "silu", "use_learned_positional_embeddings": true, "use_rotary_positional_embeddings": true
}""")


@pytest.fixture(autouse=True)
def _few_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def transformer_of(preset, seed=3):
    transformer = build_transformer(preset)
    seed_weights(transformer, seed)
    return transformer.eval()


def draw(preset, seed, timestep):
    generator = torch.Generator().manual_seed(seed)
    latents = [torch.randn(preset.latent_shape, generator=generator) for _ in range(3)]
    prompt = torch.randn(1, preset.student.text_tokens, preset.student.text_width, generator=generator)
    return (*latents, prompt, torch.tensor([timestep], dtype=torch.int32))


def relative(found, expected):
    found, expected = torch.as_tensor(found).double(), torch.as_tensor(expected).double()
    return float((found - expected).norm() / expected.norm())


def plain(transformer, inputs, dtype):
    """The step by diffusers' transformer and attention, with the coefficients that its scheduler uses in a dtype."""
    scheduler = CogVideoXDDIMScheduler(
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        snr_shift_scale=1.0,
    )
    z_r, condition, noise, prompt, timestep = inputs
    timestep = timestep.long()
    one, zero = torch.ones(1, dtype=dtype), torch.zeros(1, dtype=dtype)
    signal = scheduler.add_noise(one, zero, timestep).float()
    spread = scheduler.add_noise(zero, one, timestep).float()
    x_t = signal * z_r + spread * noise
    frames, rows, columns = z_r.shape[1], z_r.shape[3] // 2, z_r.shape[4] // 2
    transformer.set_attn_processor(CogVideoXAttnProcessor2_0())
    velocity = transformer(
        torch.cat([x_t, condition], dim=2),
        prompt,
        timestep,
        image_rotary_emb=get_3d_rotary_pos_embed(
            transformer.config.attention_head_dim, ((0, 0), (rows, columns)), (rows, columns), frames
        ),
    ).sample
    return signal * x_t - spread * velocity


def test_the_published_presets_config_is_the_published_one():
    preset = _shipped("videoscene-5b")
    config = transformer_config(preset)
    assert {name: config[name] for name in PUBLISHED_CONFIG} == PUBLISHED_CONFIG
    assert {name: config[name] for name in set(config) - set(PUBLISHED_CONFIG)} == {
        "ofs_embed_dim": None,
        "patch_size_t": None,
        "patch_bias": True,
    }


def test_the_published_transformer_has_its_published_size():
    with torch.device("meta"):
        transformer = build_transformer(_shipped("videoscene-5b"))
    assert sum(parameter.numel() for parameter in transformer.parameters()) / 1e9 == pytest.approx(5.57, abs=0.005)
    assert transformer.patch_embed.pos_embedding.shape == (1, 17776, 3072)
    assert "patch_embed.pos_embedding" in transformer.state_dict()


@pytest.mark.parametrize("timestep", [0, 99, 459, 549, 999])
def test_the_student_is_diffusers_step(timestep):
    inputs = draw(NARROW, seed=timestep, timestep=timestep)
    with torch.no_grad():
        expected = plain(transformer_of(NARROW), inputs, torch.float64)
        found = Student(transformer_of(NARROW), ScheduleSettings())(*inputs)
    assert found.shape == NARROW.latent_shape
    assert found.dtype == torch.float32
    assert relative(found, expected) <= 1e-6


def test_bfloat16_rounding_is_the_schedulers():
    inputs = draw(NARROW, seed=4, timestep=459)
    with torch.no_grad():
        expected = plain(transformer_of(NARROW), inputs, torch.bfloat16)
        rounded = Student(transformer_of(NARROW), ScheduleSettings(rounding="bfloat16"))(*inputs)
        exact = Student(transformer_of(NARROW), ScheduleSettings())(*inputs)
    assert relative(rounded, expected) <= 1e-6
    assert relative(exact, expected) > 1e-3


def test_every_input_matters_and_the_output_is_not_degenerate():
    student = Student(transformer_of(NARROW), ScheduleSettings())
    inputs = draw(NARROW, seed=0, timestep=459)
    with torch.no_grad():
        base = student(*inputs)
        assert 0.1 < base.std() < 10
        for position, name in enumerate(NAMES[:4]):
            changed = list(inputs)
            changed[position] = changed[position] + 0.5
            assert relative(student(*changed), base) > 1e-3, name
        # The time embedding alone: the same noised latent, told another timestep.
        tokens = torch.cat(inputs[:2], dim=2)
        rotary = (student.rope_cos, student.rope_sin)
        velocities = [
            student.transformer(tokens, inputs[3], torch.tensor([t]), image_rotary_emb=rotary).sample
            for t in (459, 549)
        ]
    assert relative(*velocities) > 1e-3


@pytest.mark.parametrize("rotary", [True, False], ids=["rope", "no-rope"])
def test_the_attention_is_diffusers_attention(rotary):
    attention = transformer_of(NARROW).transformer_blocks[0].attn1
    generator = torch.Generator().manual_seed(0)
    video, text = torch.randn(2, 24, 32, generator=generator), torch.randn(2, 5, 32, generator=generator)
    tables = rope_tables(16, 3, (2, 4)) if rotary else None
    with torch.no_grad():
        expected = CogVideoXAttnProcessor2_0()(attention, video, text, image_rotary_emb=tables)
        found = CatRopeProcessor()(attention, video, text, image_rotary_emb=tables)
    for ours, theirs in zip(found, expected, strict=True):
        assert relative(ours, theirs) <= 1e-6
    with pytest.raises(NotImplementedError):
        CatRopeProcessor()(attention, video, text, attention_mask=torch.ones(1))


def test_rope_tables_are_the_formula():
    """RoPE (arXiv 2104.09864) over frame, row and column, with 1/4, 3/8 and 3/8 of the channels."""
    head_dim, frames, rows, columns = 64, 3, 4, 6
    cos, sin = rope_tables(head_dim, frames, (rows, columns))
    assert cos.shape == sin.shape == (frames * rows * columns, head_dim)
    for token in (0, 1, 7, 40, 71):
        place = (token // (rows * columns), token // columns % rows, token % columns)
        angles = []
        for position, channels in zip(place, (16, 24, 24), strict=True):
            angles += [position * 10000.0 ** (-2 * (i // 2) / channels) for i in range(channels)]
        np.testing.assert_allclose(cos[token], np.cos(angles), atol=2e-6)
        np.testing.assert_allclose(sin[token], np.sin(angles), atol=2e-6)


@pytest.mark.parametrize(
    ("grid", "base", "region"),
    [
        ((30, 45), (30, 45), ((0, 0), (30, 45))),
        ((16, 16), (16, 16), ((0, 0), (16, 16))),
        ((16, 16), (30, 45), ((0, 8), (30, 38))),  # square in 480×720: full height, centred, 7.5 rounds to even
        ((10, 45), (30, 45), ((10, 0), (20, 45))),
    ],
)
def test_crop_region(grid, base, region):
    assert crop_region(grid, base) == region
    cos, _ = rope_tables(64, 1, grid, base)
    assert cos.shape == (math.prod(grid), 64)
    if grid != base:
        assert not torch.equal(cos, rope_tables(64, 1, grid)[0])


def test_tables_are_real_even_on_the_meta_device():
    with torch.device("meta"):
        student = Student(build_transformer(NARROW), ScheduleSettings())
    constants = {name for name, buffer in student.named_buffers() if buffer.device.type == "cpu"}
    assert constants == {"rope_cos", "rope_sin", "sqrt_alpha", "sqrt_one_minus_alpha", "transformer.time_proj.table"}
    assert not constants & set(student.state_dict())


def test_a_students_weights_have_the_checkpoints_names():
    transformer = transformer_of(NARROW)
    names = set(transformer.state_dict())
    student = Student(transformer, ScheduleSettings())
    assert set(student.state_dict()) == {f"transformer.{name}" for name in names}


@pytest.fixture(scope="module", params=["exact", "bfloat16"])
def traced(request, tmp_path_factory):
    # One block is enough to see the tables' rounding; tracing takes seconds a block.
    blocks = {"exact": 2, "bfloat16": 1}[request.param]
    preset = NARROW.model_copy(update={"student": NARROW.student.model_copy(update={"blocks": blocks})})
    student = Student(transformer_of(preset), ScheduleSettings(rounding=request.param))
    path = tmp_path_factory.mktemp("student") / "student.onnx"
    program = torch.onnx.export(
        student,
        draw(NARROW, seed=0, timestep=459),
        dynamo=True,
        opset_version=18,
        input_names=list(NAMES),
        output_names=["z_0"],
        verbose=False,
    )
    program.save(path)
    return student, path


def test_the_trace_is_the_student(traced):
    student, path = traced
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = {}
    for timestep in (0, 99, 459, 549, 999):
        inputs = draw(NARROW, seed=1000, timestep=timestep)
        feed = {name: value.numpy() for name, value in zip(NAMES, inputs, strict=True)}
        outputs[timestep] = session.run(["z_0"], feed)[0]
        with torch.no_grad():
            assert relative(outputs[timestep], student(*inputs)) <= 1e-5
    assert relative(outputs[459], outputs[549]) > 1e-2


def test_the_trace_keeps_its_contract(traced):
    _, path = traced
    model = onnx.load(path)
    assert [value.name for value in model.graph.input] == list(NAMES)
    types = {value.name: value.type.tensor_type for value in (*model.graph.input, *model.graph.output)}
    assert types.pop("timestep").elem_type == onnx.TensorProto.INT32
    assert {value.elem_type for value in types.values()} == {onnx.TensorProto.FLOAT}
    assert all(dim.HasField("dim_value") for value in types.values() for dim in value.shape.dim)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert not model.functions
    assert not {"ScatterND", "ScatterElements", "Attention", "Loop", "If", "Sin", "Cos"} & {
        node.op_type for node in model.graph.node
    }


def _shipped(name):
    folder = Path(videoscene_rt.export.presets.__file__).parent
    return Preset.model_validate_json((folder / f"{name}.json").read_text())
