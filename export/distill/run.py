"""A run: its models, its clips, its progress, and how both outlive the process."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.export.distill.beginning import begin
from videoscene_rt.export.distill.clips import Clips, ClipSource
from videoscene_rt.export.distill.diffusion import Schedule
from videoscene_rt.export.distill.latents import Latents
from videoscene_rt.export.distill.optimising import Training
from videoscene_rt.export.distill.pace import Pace, Paused
from videoscene_rt.export.distill.recipe import STAGES, Recipe
from videoscene_rt.export.distill.record import Record
from videoscene_rt.export.distill.store import Store
from videoscene_rt.export.distill.transformer import Transformer, initialise
from videoscene_rt.export.policy import DDPNet
from videoscene_rt.export.seeding import seed_weights, seeded_array
from videoscene_rt.export.tiny_autoencoder import TinyAutoencoder

Function = TypeVar("Function", bound=Callable[..., Any])

SAVE_EVERY = 60.0
"""Seconds between two states of a stage."""


@dataclass
class Models:
    """What is trained: float32, on the run's device; ``prompt`` float32[1,L,D] is drawn once and never trained."""

    autoencoder: TinyAutoencoder
    transformer: Transformer
    policy: DDPNet
    prompt: Tensor

    @classmethod
    def fresh(cls, preset: Preset, seed: int, device: torch.device) -> Models:
        """Weights from the seed, the same on every machine.

        Raises:
            InputError: the preset has the published autoencoder, which is not trained here.
        """
        if isinstance(preset.autoencoder, CogVideoXAutoencoderSizes):
            raise InputError(f"preset {preset.name} has the published autoencoder", "choose a preset with the tiny one")
        autoencoder, transformer, policy = TinyAutoencoder(preset.autoencoder), Transformer(preset), DDPNet(preset)
        begin(autoencoder, seed)
        initialise(transformer, torch.Generator().manual_seed(seed))
        seed_weights(policy, seed, "policy.")
        sizes = preset.student
        prompt = torch.from_numpy(seeded_array("prompt", (1, sizes.text_tokens, sizes.text_width), seed))
        return cls(autoencoder.to(device), transformer.to(device), policy.to(device), prompt.to(device))

    def state(self) -> dict[str, dict[str, Tensor]]:
        """Their tensors."""
        return {name: getattr(self, name).state_dict() for name in ("autoencoder", "transformer", "policy")}

    def load(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Put tensors back."""
        for name, tensors in state.items():
            getattr(self, name).load_state_dict(tensors)


@dataclass
class Run:
    """Everything that the stages share.

    Attributes:
        deadline: of `time.monotonic`; past it this call pauses.
        compiled: whether what is trained runs through torch.compile.
        finished: stages that are done.
        paces: of every stage.
        inside: what a stage that was cut off left to go on with.
        store, latents, validation: made by their stages, again in every process.
        seen: scenes that the student was trained on where there is no store of them: another run's.
    """

    preset: Preset
    recipe: Recipe
    source: ClipSource
    device: torch.device
    folder: Path
    record: Record
    models: Models
    schedule: Schedule
    deadline: float = math.inf
    compiled: bool = False
    finished: list[str] = field(default_factory=list)
    paces: dict[str, Pace] = field(default_factory=dict)
    inside: dict[str, Any] | None = None
    store: Store | None = None
    latents: Latents | None = None
    validation: Clips | None = None
    seen: int = 0

    def pace(self, stage: str) -> Pace:
        """How far a stage is."""
        if stage not in self.paces:
            self.paces[stage] = Pace(self.recipe.budget(stage), self.recipe.planned(stage))
        return self.paces[stage]

    def training(self, module: nn.Module, rate: float) -> Training:
        """A module in training, taken up where the stage was cut off."""
        training = Training(module, rate, self.recipe.average)
        if self.inside:
            training.restore(self.inside)
            self.inside = None
        return training

    def steps(self, stage: str, training: Training) -> Iterator[float]:
        """The stage's steps (`Pace.steps`); between them the state is saved about once a minute, and when the stage pauses."""
        saved = time.monotonic()
        try:
            for progress in self.pace(stage).steps(self.deadline):
                yield progress
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save(training.state(), one_more=stage)
                    saved = time.monotonic()
        except Paused:
            self.save(training.state())
            raise

    def draw(self, stage: str, part: int, device: torch.device | str = "cpu") -> torch.Generator:
        """Random numbers that the seed, the stage and the step (``part``) alone determine: a pause changes nothing."""
        seed = self.recipe.seed * 1_000_003 + STAGES.index(stage) * 100_000_007 + part
        return torch.Generator(device).manual_seed(seed)

    def fast(self, function: Function) -> Function:
        """The function or module, compiled if the run is to be."""
        return cast(Function, torch.compile(function)) if self.compiled else function

    def half(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where it is safe on a GPU; float32 on a CPU, where it is faster."""
        if self.device.type == "cuda":
            return torch.autocast("cuda", dtype=torch.bfloat16)
        return contextlib.nullcontext()

    @property
    def state_path(self) -> Path:
        """The state's file."""
        return self.folder / "state.pt"

    def save(self, inside: dict[str, Any] | None = None, one_more: str = "") -> None:
        """Write the state, whole or not at all.

        Args:
            inside: what the running stage needs beside the models.
            one_more: a stage whose last step is done but not counted yet.
        """
        state = {
            "preset": self.preset.model_dump_json(),
            "recipe": self.recipe.to_json(),
            "finished": self.finished,
            "paces": {name: (pace.step + (name == one_more), pace.spent) for name, pace in self.paces.items()},
            "models": self.models.state(),
            "inside": inside,
        }
        temporary = self.state_path.with_suffix(".tmp")
        torch.save(state, temporary)
        temporary.replace(self.state_path)

    def resume(self) -> None:
        """Read the state.

        Raises:
            InputError: there is none, or it is of another preset or recipe.
        """
        if not self.state_path.is_file():
            raise InputError(f"{self.folder} has no state to resume", "start without --resume")
        state = torch.load(self.state_path, map_location=self.device, weights_only=True)
        mine = (self.preset.model_dump_json(), _plain(self.recipe.to_json()))
        if (state["preset"], _plain(state["recipe"])) != mine:
            raise InputError(
                f"{self.state_path} is of another preset or recipe", "resume with the options that the run began with"
            )
        self.finished = list(state["finished"])
        for name, (step, spent) in state["paces"].items():
            pace = self.pace(name)
            pace.step, pace.spent = step, spent
        self.models.load(state["models"])
        self.inside = state["inside"]


def _plain(value: Any) -> Any:
    """Tuples as lists, so that what was saved compares with what is."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
