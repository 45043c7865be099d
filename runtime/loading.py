"""What `Pipeline.load` is told, checked, and the chain that it makes of a bundle; `Pipeline.reload` makes another one so."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from videoscene_rt.chain.capturing import Capture, checked_capture
from videoscene_rt.chain.chain import MEMORY_MODES, Chain, MemoryMode
from videoscene_rt.chain.noise import NoiseMode, checked_mode, checked_seed
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.deadline import LADDER_SLOTS
from videoscene_rt.engines.arguments import whole_number
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle, OnVerified
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.halves import HALVES, Half
from videoscene_rt.engines.rewrite import holds_for_all
from videoscene_rt.ladder import Ladder

_MAX_SLOTS = 2

Folder = str | os.PathLike[str]


@dataclass(frozen=True)
class LoadOptions:
    """The arguments of `Pipeline.load` under their names there, but for the bundle and what watches."""

    backend: str
    precision: str
    seed: int
    noise: NoiseMode
    timestep: int | None
    threads: int | None
    slots: int
    priority: int
    capture: Capture
    memory: MemoryMode
    encoder: Half | None
    decoder: Half | Literal["both"] | None
    streaming: bool
    ladder: Ladder | None

    def checked(self) -> LoadOptions:
        """The same with whole numbers for what counts as one.

        Raises:
            InputError: one of them is of the wrong type or out of range. Backend, precision and threads are `open_backend`'s to check.
        """
        seed, noise = checked_seed(self.seed), checked_mode(self.noise)
        timestep = None if self.timestep is None else whole_number("timestep", self.timestep, 0, 999)
        slots = whole_number("slots", self.slots, 1, _MAX_SLOTS)
        if self.memory not in MEMORY_MODES:
            raise InputError(f"there is no memory {self.memory!r}", f"choose one of {', '.join(MEMORY_MODES)}")
        if self.ladder is not None and not isinstance(self.ladder, Ladder):
            raise InputError(f"ladder must be a Ladder, not {self.ladder!r}", "Ladder(), or Ladder.read(file)")
        if self.ladder is not None and slots < LADDER_SLOTS:
            raise InputError(
                "a ladder needs two slots: while a late step holds one, the other one still renders", "slots=2"
            )
        _check_half("encoder", self.encoder, HALVES)
        _check_half("decoder", self.decoder, (*HALVES, "both"))
        capture = checked_capture(self.capture)
        return replace(self, seed=seed, noise=noise, timestep=timestep, slots=slots, capture=capture)


@dataclass(frozen=True)
class Loaded:
    """A verified bundle, its chain with the prompt and a fixed timestep in place, and the backend that runs it."""

    bundle: Bundle
    chain: Chain
    backend: Backend


def checked_folder(bundle: Any) -> Folder:
    """A bundle's folder; InputError if it is no path."""
    if not isinstance(bundle, (str, os.PathLike)):
        raise InputError(f"bundle must be the path of a folder, not {bundle!r}")
    return bundle


def check_callable(name: str, function: Any) -> None:
    """Refuse what is neither None nor to be called; InputError names the argument."""
    if function is not None and not callable(function):
        raise InputError(f"{name} must be a function, or None, not {function!r}")


def check_timestep(timestep: int | None, backend: str, candidates: tuple[int, ...]) -> None:
    """Refuse a fixed timestep for which a backend's engine of the student has no values.

    Args:
        timestep: t in 0…999; None where the policy chooses.
        backend: its name.
        candidates: the policy's.

    Raises:
        InputError: says which timesteps there are.
    """
    if timestep is None or timestep in candidates or holds_for_all("student", backend):
        return
    raise InputError(
        f"timestep {timestep} is none of the policy's candidates ({', '.join(map(str, candidates))}), and an engine of {backend} knows "
        "the student's values for those alone",
        "choose one of them, or a backend that computes them in every step: onnxruntime or onnxruntime-cuda",
    )


def load_chain(options: LoadOptions, bundle: Folder, on_verified: OnVerified | None) -> Loaded:
    """Open the backend, verify the bundle, and load, allocate, bind and capture its chain.

    Args:
        options: checked.

    Raises:
        InputError, BackendError: see `Pipeline.load`.
    """
    opened = open_backend(options.backend, options.precision, options.threads)
    verified = Bundle.open(bundle, on_verified)
    chosen, timestep = options.decoder, options.timestep
    check_timestep(timestep, options.backend, verified.manifest.policy.timesteps)
    decoders = verified.manifest.decoders if chosen == "both" else () if chosen is None else (chosen,)
    plan = plan_chain(
        verified.manifest, timestep, encoder=options.encoder, decoders=decoders, streaming=options.streaming
    )
    chain = Chain(
        plan,
        verified,
        opened,
        slots=options.slots,
        priority=options.priority,
        capture=options.capture,
        memory=options.memory,
    )
    chain.write("prompt", verified.prompt())
    if timestep is not None:
        chain.write("timestep", np.array([timestep], np.int32))
    return Loaded(verified, chain, opened)


def _check_half(what: str, half: str | None, known: tuple[str, ...]) -> None:
    if half is not None and half not in known:
        raise InputError(f"there is no {what} {half!r}", f"choose one of {', '.join(known)}")
