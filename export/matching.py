"""Which file each tensor of a module is read from: files over files, and everything that does not match said by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videoscene_rt.engines.errors import InputError
from videoscene_rt.export.request import MISMATCHES, Mismatch
from videoscene_rt.export.safetensors_file import TensorPlace

Places = Mapping[str, TensorPlace]

_PREFIXES = ("module.", "model.", "transformer.")
"""What trainers put before a transformer's names when they save the module that holds it."""


@dataclass(frozen=True)
class Matched:
    """Where the tensors of one module come from.

    Attributes:
        component: "student", "autoencoder" or "policy".
        where: what to call it in a message.
        places: the chosen place of each tensor that some file has in its shape, by the module's name for it.
        missing: tensors that no file has.
        unexpected: tensors that the module does not have, as they are named in their file.
        misshapen: tensors of another shape, with both shapes in words. Another file may have it right: then that is chosen.
    """

    component: str
    where: str
    places: dict[str, TensorPlace]
    missing: tuple[str, ...]
    unexpected: tuple[tuple[Path, str], ...]
    misshapen: tuple[tuple[Path, str, str], ...]

    def counts(self) -> dict[Mismatch, int]:
        """How many there are of each kind of mismatch."""
        return {
            "missing": len(self.missing),
            "unexpected": len(self.unexpected),
            "misshapen": len(self.misshapen),
        }

    def files(self) -> dict[Path, int]:
        """How many tensors come from each file, in the order of their first tensor."""
        return dict(Counter(place.file for place in self.places.values()))

    def named(self, kind: Mismatch) -> list[str]:
        """The tensors of a kind of mismatch, in words."""
        if kind == "missing":
            return list(self.missing)
        if kind == "unexpected":
            return [f"{name} in {file.name}" for file, name in self.unexpected]
        return [f"{name} {words} ({file.name})" for file, name, words in self.misshapen]

    def require(self, accepted: frozenset[Mismatch] = frozenset(), remedy: str | None = None) -> Matched:
        """Give it back if nothing but what is accepted does not match; ``remedy``: what to do, if not to accept it.

        Raises:
            InputError: something does; the first few are named.
        """
        for kind in MISMATCHES:
            names, words = self.named(kind), "of another shape" if kind == "misshapen" else kind
            if names and kind not in accepted:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                raise InputError(
                    f"{self.where}: {len(names)} tensors are {words}: {', '.join(names[:3])}{more}",
                    remedy or f"the sizes must be the checkpoint's (docs/checkpoint.md), or accept it: --accept {kind}",
                )
        return self


def match(component: str, where: str, wanted: Mapping[str, tuple[int, ...]], layers: Sequence[Places]) -> Matched:
    """Choose a place for every tensor.

    Args:
        component: whose tensors.
        where: what to call them in messages.
        wanted: shape of each tensor by name.
        layers: the files' tensors; a later one's go over an earlier one's, as ``load_state_dict(strict=False)`` would have it.
    """
    places: dict[str, TensorPlace] = {}
    unexpected: list[tuple[Path, str]] = []
    misshapen: dict[str, tuple[Path, str, str]] = {}
    for layer in layers:
        for name, place in layer.items():
            if name not in wanted:
                unexpected.append((place.file, place.name))
            elif place.shape == wanted[name]:
                places[name] = place
                misshapen.pop(name, None)
            else:
                misshapen[name] = (place.file, name, f"is {list(place.shape)}, not {list(wanted[name])}")
    missing = tuple(name for name in wanted if name not in places and name not in misshapen)
    ordered = {name: places[name] for name in wanted if name in places}
    return Matched(component, where, ordered, missing, tuple(unexpected), tuple(misshapen.values()))


def without_prefix(places: Places, wanted: Mapping[str, tuple[int, ...]]) -> dict[str, TensorPlace]:
    """A layer's places by the module's names: prefixes that all of its names share and no wanted name has are taken off."""
    found = dict(places)
    while found and not any(name in wanted for name in found):
        prefix = next((p for p in _PREFIXES if all(name.startswith(p) for name in found)), None)
        if prefix is None:
            break
        found = {name[len(prefix) :]: place for name, place in found.items()}
    return found
