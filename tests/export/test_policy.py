"""The policies: DDPNet against plain NumPy, the greedy choice, and the policy that always chooses the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import PolicySizes, Preset, StudentSizes, TinyAutoencoderSizes
from videoscene_rt.export.policy import ConstantPolicy, DDPNet
from videoscene_rt.export.seeding import seed_weights

CANDIDATES = (400, 460, 500, 550)
TIMESTEPS = (399, 459, 499, 549)
PRESET = Preset(
    name="narrow",
    frames=9,
    height=48,
    width=80,
    max_points=100,
    student=StudentSizes(blocks=1, heads=1, text_tokens=1, text_width=1),
    autoencoder=TinyAutoencoderSizes(),
    policy=PolicySizes(candidates=CANDIDATES, channels=(6, 5, 4)),
)


@pytest.fixture
def net():
    net = DDPNet(PRESET)
    seed_weights(net, 0)
    return net.eval().requires_grad_(False)


def latent(seed, scale=1.0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(PRESET.latent_shape, dtype=np.float32) * scale)


def convolve(image, weight, bias, stride):
    """A 3×3 convolution with a border of one zero, one output pixel at a time, in float64; image [C,h,w]."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    rows, columns = ((size - 1) // stride + 1 for size in image.shape[1:])
    out = np.empty((weight.shape[0], rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = padded[:, row * stride : row * stride + 3, column * stride : column * stride + 3]
            out[:, row, column] = (weight * window).sum(axis=(1, 2, 3)) + bias
    return out


def expected_logits(net, z_r):
    weights = {name: value.double().numpy() for name, value in net.state_dict().items()}
    z = z_r.double().numpy()
    image = np.concatenate(list(z[0] / np.sqrt((z**2).mean())))
    for layer in range(3):
        image = np.maximum(convolve(image, weights[f"trunk.{layer}.weight"], weights[f"trunk.{layer}.bias"], 2), 0)
    return convolve(image, weights["score.weight"], weights["score.bias"], 1).mean(axis=(1, 2))


@pytest.mark.parametrize("seed", range(3))
def test_logits_are_four_convolutions_and_a_mean(net, seed):
    z_r = latent(seed)
    timestep, logits = net(z_r)
    expected = expected_logits(net, z_r)
    assert logits.shape == (1, 4)
    assert logits.dtype == torch.float32
    assert timestep.dtype == torch.int32
    np.testing.assert_allclose(logits[0], expected, rtol=1e-4, atol=1e-6)
    assert timestep.tolist() == [TIMESTEPS[int(expected.argmax())]]


def test_the_scale_of_the_latent_changes_nothing(net):
    _, logits = net(latent(0))
    for scale in (0.05, 30.0, 1e6):
        np.testing.assert_allclose(net(latent(0, scale))[1], logits, rtol=1e-3, atol=1e-5)
    assert torch.isfinite(net(torch.zeros(PRESET.latent_shape))[1]).all()


def test_different_latents_give_different_logits(net):
    first, second = net(latent(0))[1], net(latent(1))[1]
    assert float((first - second).norm() / first.norm()) > 1e-2


@pytest.mark.parametrize("wanted", range(4))
def test_each_candidate_can_be_reached(net, wanted):
    net.score.bias[wanted] += 100
    assert net(latent(0))[0].tolist() == [TIMESTEPS[wanted]]


def test_of_equal_logits_the_first_wins(net):
    net.score.weight.zero_()
    net.score.bias.copy_(torch.tensor([0.0, 2.0, 2.0, 1.0]))
    timestep, logits = net(latent(0))
    assert logits.tolist() == [[0.0, 2.0, 2.0, 1.0]]
    assert timestep.tolist() == [459]


@pytest.mark.parametrize("chosen", TIMESTEPS)
@pytest.mark.parametrize("fill", [0.0, 1.0, -3.0, float("nan"), float("inf"), -float("inf")])
def test_the_constant_policy_ignores_its_input(chosen, fill):
    timestep, logits = ConstantPolicy(TIMESTEPS, chosen)(torch.full(PRESET.latent_shape, fill))
    assert timestep.tolist() == [chosen]
    assert timestep.dtype == torch.int32
    assert logits.tolist() == [[float(t == chosen) for t in TIMESTEPS]]


def test_the_constant_policy_refuses_what_is_no_candidate():
    with pytest.raises(InputError, match=r"noise timestep 470[\s\S]*400, 460, 500, 550"):
        ConstantPolicy(TIMESTEPS, 469)


def trace(module, path):
    torch.onnx.export(
        module.eval(),
        (latent(0),),
        dynamo=True,
        opset_version=18,
        input_names=["z_r"],
        output_names=["timestep", "logits"],
        verbose=False,
    ).save(path)
    model = onnx.load(path)
    assert [(value.name, value.type.tensor_type.elem_type) for value in model.graph.input] == [
        ("z_r", onnx.TensorProto.FLOAT)
    ]
    assert [(value.name, value.type.tensor_type.elem_type) for value in model.graph.output] == [
        ("timestep", onnx.TensorProto.INT32),
        ("logits", onnx.TensorProto.FLOAT),
    ]
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_the_trace_is_the_net(net, tmp_path):
    session = trace(net, tmp_path / "policy.onnx")
    for seed in range(5):
        z_r = latent(seed, scale=1 + seed)
        timestep, logits = session.run(["timestep", "logits"], {"z_r": z_r.numpy()})
        np.testing.assert_allclose(logits, net(z_r)[1], rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(timestep, net(z_r)[0])


def test_of_equal_logits_the_first_wins_in_the_trace(net, tmp_path):
    net.score.weight.zero_()
    net.score.bias.copy_(torch.tensor([0.0, 2.0, 2.0, 1.0]))
    session = trace(net, tmp_path / "ties.onnx")
    assert session.run(["timestep"], {"z_r": latent(0).numpy()})[0].tolist() == [459]


def test_the_constant_policys_trace_keeps_its_input_and_ignores_it(tmp_path):
    session = trace(ConstantPolicy(TIMESTEPS, 549), tmp_path / "constant.onnx")
    for fill in (0.0, 5.0, float("nan"), float("inf")):
        binding = session.io_binding()
        binding.bind_cpu_input("z_r", np.full(PRESET.latent_shape, fill, np.float32))
        binding.bind_output("timestep")
        binding.bind_output("logits")
        session.run_with_iobinding(binding)
        timestep, logits = binding.copy_outputs_to_cpu()
        assert timestep.tolist() == [549]
        assert logits.tolist() == [[0.0, 0.0, 0.0, 1.0]]
