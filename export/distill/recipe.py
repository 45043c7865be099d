"""Everything that a training run is a function of, beside the preset and the clips."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from videoscene_rt.engines.errors import InputError

STAGES = ("clips", "autoencoder", "latents", "denoise", "leap", "policy")
"""In their order; each gets its share of the time."""


_OF_OLD_RECORDS = {"policy_scenes": 0}
"""Fields that a record of an earlier version lacks, as that version had it."""


@dataclass(frozen=True)
class Recipe:
    """The figures of the recipe.

    Attributes:
        seed: of weights, batches and noise.
        minutes: for all stages together.
        shares: of the time, one for each of STAGES.
        steps: of each of STAGES instead of its time, as a record lists them: the way to repeat a run exactly. Clips and latents
            count clips, the others count optimiser steps.
        clips: how many scenes at most.
        variants: clouds a scene.
        clips_at_once: scenes generated together.
        copies: flipped, reversed and recoloured versions of each clip that are encoded for the student.
        autoencoder_batch, autoencoder_rate: clips a step; the highest learning rate.
        latent_noise: standard deviation of noise on the latents that the decoder learns from: the student will not be exact.
        denoise_batch, denoise_rate: of the student's first stage.
        leap_batch, leap_rate: of its second stage.
        clean_share: share of a batch that starts from the clean latent (denoising) and not from the coarse one (the leap).
        match_ratio: how much larger the noise of a leap is meant to be than the coarse latent's error.
        match_width: how closely it is matched, standard deviation of ln σ.
        match_floor: share of leaps whose timestep is any candidate.
        finetune_decoder: whether the decoder learns on in the leap, from what the student gives it, or stays as it is.
        pixel_weight, consistency_weight: of the second stage's losses beside the latent one.
        average: decay of the weights' moving average, a step.
        policy_scenes: scenes for the policy that nothing else learnt from; 0 takes those that the student was trained on.
        policy_states: clips whose reward is computed for every candidate.
        policy_steps, policy_batch, policy_rate: of the policy's training.
        validation: held-out clips that training looks at.
    """

    seed: int = 0
    minutes: float = 13.0
    shares: tuple[float, ...] = (0.12, 0.36, 0.04, 0.11, 0.29, 0.08)
    steps: tuple[int, ...] = ()
    clips: int = 6000
    variants: int = 2
    clips_at_once: int = 16
    copies: int = 3
    autoencoder_batch: int = 8
    autoencoder_rate: float = 1.0e-3
    latent_noise: float = 0.1
    denoise_batch: int = 128
    denoise_rate: float = 1.0e-3
    leap_batch: int = 24
    leap_rate: float = 3.0e-4
    clean_share: float = 0.35
    match_ratio: float = 2.0
    match_width: float = 0.35
    match_floor: float = 0.02
    finetune_decoder: bool = True
    pixel_weight: float = 1.0
    consistency_weight: float = 0.1
    average: float = 0.999
    policy_scenes: int = 512
    policy_states: int = 4096
    policy_steps: int = 1500
    policy_batch: int = 256
    policy_rate: float = 1.0e-3
    validation: int = 48

    def budget(self, stage: str) -> float:
        """Seconds of a stage."""
        return 60.0 * self.minutes * self.shares[STAGES.index(stage)] / sum(self.shares)

    def planned(self, stage: str) -> int | None:
        """Steps of a stage where they are given instead of time."""
        return self.steps[STAGES.index(stage)] if self.steps else None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """A recipe from a JSON file: an object of some of the fields, or a record that holds one under "recipe".

        Raises:
            InputError: it cannot be read, or a field is unknown or of the wrong kind.
        """
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read as a recipe: {error}") from error
        if isinstance(data, dict) and isinstance(data.get("recipe"), dict):
            data = {**_OF_OLD_RECORDS, **data["recipe"]}
        if not isinstance(data, dict):
            raise InputError(f"{path}: a recipe is a JSON object")
        kinds = {field.name: type(getattr(cls(), field.name)) for field in fields(cls)}
        values: dict[str, Any] = {}
        for name, value in data.items():
            if name not in kinds:
                raise InputError(f"{path}: {name!r} is no part of a recipe", f"known: {', '.join(kinds)}")
            values[name] = _of_kind(path, name, value, kinds[name])
        recipe = cls(**values)
        for name in ("shares", "steps"):
            listed = getattr(recipe, name)
            if len(listed) not in ({len(STAGES)} if name == "shares" else {0, len(STAGES)}):
                raise InputError(f"{path}: {name} needs {len(STAGES)} values, one for each of {', '.join(STAGES)}")
        return recipe


def _of_kind(path: Path, name: str, value: Any, kind: type) -> Any:
    if kind is tuple and isinstance(value, list) and all(_is_number(part) for part in value):
        return tuple(value)
    if kind is float and _is_number(value):
        return float(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InputError(f"{path}: {name}: {value!r} is not a {'list of numbers' if kind is tuple else kind.__name__}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
