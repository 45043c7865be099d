"""Modules without their numbers: run a layer at a time, turned into views, and never more in memory than one layer."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import nn

from tests.support.presets import PUBLISHED, SMALL
from videoscene_rt.export.learned_positions import initial_positions
from videoscene_rt.export.models import build_models, build_shells
from videoscene_rt.export.numbers import Numbers, View, weightless
from videoscene_rt.export.sources import weight_sources
from videoscene_rt.export.student import Student, build_transformer


class Counting:
    """A source that knows how many of the tensors it gave are still alive."""

    dtype = "float32"

    def __init__(self, module: nn.Module) -> None:
        self.tensors = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        self.alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
        self.most = self.reads = 0

    def read(self, name: str) -> torch.Tensor:
        tensor = self.tensors[name].double()  # of another dtype, so that a copy is made of it
        self.reads += 1
        self.alive.add(tensor)
        self.most = max(self.most, sum(tensor.nbytes for tensor in self.alive))
        return tensor


def test_a_module_on_the_meta_device_runs_a_layer_at_a_time() -> None:
    real = nn.Sequential(*(nn.Linear(64, 64) for _ in range(8)), nn.BatchNorm1d(64)).eval()
    source = Counting(real)
    with torch.device("meta"):
        shell = nn.Sequential(*(nn.Linear(64, 64) for _ in range(8)), nn.BatchNorm1d(64)).eval()
    numbers, x = Numbers([(shell, source)]), torch.randn(3, 64)
    with torch.no_grad(), numbers.present(shell):
        found = shell(x)
    assert torch.equal(found, real(x))
    assert source.reads == len(source.tensors)
    assert source.most <= 2 * (64 * 64 + 64) * 8, "a layer or two, of eight"
    assert all(tensor.is_meta for tensor in shell.state_dict().values()), "and none after it"
    with pytest.raises(RuntimeError):
        shell(x)


def test_a_layer_that_fails_gives_its_numbers_back() -> None:
    with torch.device("meta"):
        shell = nn.Linear(4, 4)
    numbers = Numbers([(shell, Counting(nn.Linear(4, 4)))])
    with pytest.raises(RuntimeError), numbers.present(shell):
        shell(torch.zeros(1, 5))
    assert shell.weight.is_meta
    with pytest.raises(ValueError, match="has no numbers"):
        Numbers().read(shell.weight)


@pytest.mark.parametrize("preset", [SMALL, PUBLISHED], ids=["tiny", "published"])
def test_models_on_the_meta_device_are_those_in_memory(preset: object) -> None:
    """The student, the autoencoder's halves and every buffer, run from the source, give the very numbers of the filled modules."""
    assert preset in (SMALL, PUBLISHED)
    chosen = SMALL if preset is SMALL else PUBLISHED
    real = build_models(chosen, None, 5, None)
    shells = build_shells(chosen, weight_sources(chosen, None, 5), None)
    for name in ("transformer", "autoencoder"):
        one, other = getattr(shells, name), getattr(real, name)
        assert all(tensor.is_meta for tensor in one.parameters())
        expected = other.state_dict()
        for key, tensor in one.state_dict(keep_vars=True).items():
            assert torch.equal(shells.numbers.read(tensor).float(), expected[key]), key
    generator = torch.Generator().manual_seed(0)
    latents = [torch.randn(chosen.latent_shape, generator=generator) for _ in range(3)]
    students = [Student(models.transformer, chosen.schedule) for models in (real, shells)]
    with torch.no_grad(), shells.numbers.present(students[1]):
        found = [student(*latents, real.prompt, torch.tensor([499], dtype=torch.int32)) for student in students]
    assert torch.equal(*found)


def test_a_weightless_copy_shares_what_the_module_shares_and_changes_nothing() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    shell, tensors = weightless(module)
    assert shell[1].weight is shell[0].weight
    assert all(tensor.is_meta for tensor in shell.state_dict().values())
    assert tensors["1.weight"] is module[0].weight
    assert not module[0].weight.is_meta


def test_a_view_is_what_torch_makes_of_the_tensor() -> None:
    tensor = torch.arange(24.0).reshape(2, 3, 4)
    turned = View.whole(tensor).transposed((2, 0, 1))
    assert turned is not None
    assert torch.equal(turned.apply(tensor), tensor.permute(2, 0, 1))
    flat = turned.reshaped((4, 6))
    assert torch.equal(flat.apply(tensor), tensor.permute(2, 0, 1).reshape(4, 6))
    assert flat.transposed((1, 0)) is None, "turned twice is not one view"
    assert View.whole(tensor).reshaped((6, 4)).transposed((1, 0)) is None


def test_positions_made_frame_by_frame_are_diffusers_own() -> None:
    for preset in (SMALL, PUBLISHED.model_copy(update={"height": 64})):
        embedding = build_transformer(preset).patch_embed
        assert torch.equal(initial_positions(embedding), embedding.pos_embedding)
