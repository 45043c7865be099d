"""Where every number of a bundle comes from: a checkpoint's files, or a seed. Nothing but headers and the prompt is read yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLCogVideoX

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset, TinyAutoencoderSizes
from videoscene_rt.export.checkpoint import Checkpoint
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.config_preset import check_configs
from videoscene_rt.export.learned_positions import NAME as POSITIONS
from videoscene_rt.export.learned_positions import CutPositions, check_fits, grid_of, initial_positions
from videoscene_rt.export.matching import Matched, match, without_prefix
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.safetensors_file import tensor_places
from videoscene_rt.export.seeding import seeded_array
from videoscene_rt.export.student import build_transformer
from videoscene_rt.export.tensor_source import SeededTensors, StoredTensors, TensorSource, shapes_of
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder
from videoscene_rt.export.tiny_autoencoder_weights import load_tiny_autoencoder


@dataclass(frozen=True)
class Sources:
    """Where the numbers come from.

    Attributes:
        student, autoencoder, policy: of each module's tensors; the policy is None where a checkpoint has no policy net.
        tiny: of the tiny autoencoder beside a published one; None where none is kept.
        prompt: float32[1,L,D].
        matched: which file each tensor is read from; empty for weights from a seed.
        prompt_file: where the prompt was read from; None for one from a seed.
    """

    student: TensorSource
    autoencoder: TensorSource
    policy: TensorSource | None
    prompt: torch.Tensor
    matched: tuple[Matched, ...] = ()
    prompt_file: Path | None = None
    tiny: TensorSource | None = None

    def dtypes(self) -> dict[str, str]:
        """The dtype in which each weight file is stored; none is named for weights in float32 from a seed."""
        named = {
            "student": self.student,
            "autoencoder": self.autoencoder,
            "policy": self.policy,
            "tiny_autoencoder": self.tiny,
        }
        found = {name: source.dtype for name, source in named.items() if source is not None}
        return found if self.matched or set(found.values()) != {"float32"} else {}


@dataclass(frozen=True)
class LoadedTensors:
    """Tensors that are in memory already.

    Attributes:
        tensors: by name, in float32.
        dtype: see `TensorSource.dtype`.
    """

    tensors: dict[str, torch.Tensor]
    dtype: str

    def read(self, name: str) -> torch.Tensor:
        """See `TensorSource.read`."""
        return self.tensors[name]


def weight_sources(
    preset: Preset,
    checkpoint: Checkpoint | None,
    seed: int,
    constant: int | None = None,
    cut_positions: bool = False,
    seed_dtype: str = "float32",
    on_matched: Callable[[tuple[Matched, ...]], None] | None = None,
) -> Sources:
    """Find the weights of a preset.

    Args:
        preset: the sizes.
        checkpoint: where the weights are; None makes them from the seed.
        seed: for weights that come from no checkpoint, and for those of a checkpoint that are missing where that is accepted.
        constant: not None: no policy net is wanted, so none is looked at.
        cut_positions: the preset may have fewer frames or a smaller picture than the checkpoint's configuration says; the
            student's learned positions are then cut.
        seed_dtype: to which weights from the seed are rounded.
        on_matched: told which file each tensor is read from, before anything that does not match is refused.

    Raises:
        InputError: the checkpoint does not fit the preset.
    """
    if checkpoint is None:
        return _from_seed(preset, seed, seed_dtype)
    return _from_checkpoint(preset, checkpoint, seed, constant is None, cut_positions, on_matched)


def _from_seed(preset: Preset, seed: int, dtype: str) -> Sources:
    sizes = preset.student
    prompt = torch.from_numpy(seeded_array("prompt", (1, sizes.text_tokens, sizes.text_width), seed))
    return Sources(
        seeded_student(preset, seed, dtype),
        _seeded_autoencoder(preset, seed, dtype),
        _seeded_policy(preset, seed, dtype),
        prompt.to(getattr(torch, dtype)).float(),
        tiny=None if preset.tiny_autoencoder is None else _seeded_tiny(preset.tiny_autoencoder, seed, dtype),
    )


def seeded_student(preset: Preset, seed: int, dtype: str = "float32") -> SeededTensors:
    """A student's weights from a seed; its positions are diffusers' sines and cosines, where training starts."""
    with torch.device("meta"):
        shell = build_transformer(preset)
    made = SeededTensors.of(shell, seed, "transformer.", dtype)

    return SeededTensors(
        made.shapes, seed, made.prefix, dtype, {POSITIONS: lambda: initial_positions(shell.patch_embed)}
    )


def _seeded_autoencoder(preset: Preset, seed: int, dtype: str) -> SeededTensors:
    with torch.device("meta"):
        shell = build_autoencoder(preset)
    return _seeded(shell, seed, "autoencoder.", dtype)


def _seeded_tiny(sizes: TinyAutoencoderSizes, seed: int, dtype: str) -> SeededTensors:
    with torch.device("meta"):
        shell = TinyAutoencoder(sizes)
    return _seeded(shell, seed, "tiny_autoencoder.", dtype)


def _seeded(shell: TinyAutoencoder | AutoencoderKLCogVideoX, seed: int, prefix: str, dtype: str) -> SeededTensors:
    made = SeededTensors.of(shell, seed, prefix, dtype)
    after = _centred(shell) if isinstance(shell, TinyAutoencoder) else made.after
    return SeededTensors(made.shapes, seed, made.prefix, dtype, {}, after)


def _centred(autoencoder: TinyAutoencoder) -> Callable[[str, torch.Tensor], torch.Tensor]:
    """Bring an untrained decoder's pixels into the middle of [0, 1], or clamping would hide what comes before it."""
    last = f"decoder.{len(autoencoder.decoder) - 1}."

    def after(name: str, tensor: torch.Tensor) -> torch.Tensor:
        if not name.startswith(last):
            return tensor
        return tensor * 0.1 if name.endswith("weight") else tensor + 0.5

    return after


def _seeded_policy(preset: Preset, seed: int, dtype: str) -> SeededTensors:
    with torch.device("meta"):
        return SeededTensors.of(DDPNet(preset), seed, "policy.", dtype)


def _from_checkpoint(
    preset: Preset,
    checkpoint: Checkpoint,
    seed: int,
    with_policy: bool,
    cut_positions: bool,
    on_matched: Callable[[tuple[Matched, ...]], None] | None,
) -> Sources:
    learned = _learned(preset, checkpoint) if cut_positions else preset
    check_configs(learned, checkpoint)
    check_fits(learned, preset)
    matches = [_match_student(learned, checkpoint), _match_autoencoder(preset, checkpoint)]
    policy_net = tiny = None
    if with_policy and (path := checkpoint.policy()) is not None:
        with torch.device("meta"):
            policy_net = match("policy", str(path), shapes_of(DDPNet(preset)), [tensor_places(path)])
        matches.append(policy_net)
    if preset.tiny_autoencoder is not None:
        matches.append(_match_tiny(preset.tiny_autoencoder, checkpoint, "tiny_autoencoder"))
        tiny = _tiny_source(preset.tiny_autoencoder, checkpoint, matches[-1])
    if on_matched is not None:
        on_matched(tuple(matches))
    for matched in matches:
        matched.require(checkpoint.accepted)

    student: TensorSource = StoredTensors(matches[0].places, seeded_student(learned, seed))
    if learned != preset:
        student = CutPositions(student, grid_of(learned), grid_of(preset))
    policy = None if policy_net is None else StoredTensors(policy_net.places, _seeded_policy(preset, seed, "float32"))
    return Sources(
        student,
        _autoencoder_source(preset, checkpoint, matches[1], seed),
        policy,
        _prompt(preset, checkpoint),
        tuple(matches),
        checkpoint.prompt_path(),
        tiny,
    )


def _learned(preset: Preset, checkpoint: Checkpoint) -> Preset:
    """The preset in the size for which the checkpoint's positions were learned."""
    config = checkpoint.config("transformer")
    try:
        sizes = {
            "frames": int(config.get("sample_frames", 49)),
            "height": int(config.get("sample_height", 60)) * 8,
            "width": int(config.get("sample_width", 90)) * 8,
        }
        return Preset.model_validate({**preset.model_dump(), **sizes})
    except (TypeError, ValueError) as error:
        path = checkpoint.folder / "transformer" / "config.json"
        raise InputError(f"{path}: the sample sizes are no video's: {str(error).splitlines()[0]}") from error


def _match_student(preset: Preset, checkpoint: Checkpoint) -> Matched:
    with torch.device("meta"):
        wanted = shapes_of(build_transformer(preset))
    layers = [checkpoint.places("transformer")]
    where = str(checkpoint.folder / "transformer")
    if checkpoint.student is not None:
        layers.append(without_prefix(tensor_places(checkpoint.student), wanted))
        where += f" with {checkpoint.student} over it"
    return match("student", where, wanted, layers)


def _match_autoencoder(preset: Preset, checkpoint: Checkpoint) -> Matched:
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        with torch.device("meta"):
            wanted = shapes_of(build_autoencoder(preset))
        return match("autoencoder", str(checkpoint.folder / "vae"), wanted, [checkpoint.places("vae")])
    return _match_tiny(preset.autoencoder, checkpoint, "autoencoder")


def _match_tiny(sizes: TinyAutoencoderSizes, checkpoint: Checkpoint, component: str) -> Matched:
    path = checkpoint.tiny_autoencoder()
    load_tiny_autoencoder(path, sizes)  # which has its own idea of what fits
    return Matched(component, str(path), tensor_places(path), (), (), ())


def _autoencoder_source(preset: Preset, checkpoint: Checkpoint, matched: Matched, seed: int) -> TensorSource:
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        return StoredTensors(matched.places, _seeded_autoencoder(preset, seed, "float32"))
    return _tiny_source(preset.autoencoder, checkpoint, matched)


def _tiny_source(sizes: TinyAutoencoderSizes, checkpoint: Checkpoint, matched: Matched) -> TensorSource:
    tensors = load_tiny_autoencoder(checkpoint.tiny_autoencoder(), sizes).state_dict()
    return LoadedTensors(dict(tensors), StoredTensors(matched.places).dtype)


def _prompt(preset: Preset, checkpoint: Checkpoint) -> torch.Tensor:
    prompt, path = checkpoint.prompt(), checkpoint.prompt_path()
    expected = (1, preset.student.text_tokens, preset.student.text_width)
    if tuple(prompt.shape) != expected:
        raise InputError(f"{path}: the prompt embedding is {list(prompt.shape)}, the preset wants {list(expected)}")
    if not bool(torch.isfinite(prompt).all()):
        raise InputError(f"{path}: the prompt embedding holds values that are not finite")
    return prompt


def build_autoencoder(preset: Preset) -> TinyAutoencoder | AutoencoderKLCogVideoX:
    """The preset's autoencoder with weights that mean nothing yet, on the default device."""
    if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
        return build_cogvideox_autoencoder(preset.autoencoder, preset.height, preset.width)
    return TinyAutoencoder(preset.autoencoder)
