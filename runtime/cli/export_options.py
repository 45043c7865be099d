"""The options of `vsrt export` that change a preset, refused by the names that they have on the command line."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from videoscene_rt.engines.errors import InputError
from videoscene_rt.engines.preset import FAR, Preset

_ROUNDINGS = ("exact", "bfloat16")
_MOST_RADIUS = 8
_HELP = "vsrt export --help"


def check_noise_timestep(number: int | None) -> None:
    """InputError unless a noise timestep N is given by nobody, or from 1 to 1000."""
    if number is not None and not 1 <= number <= 1000:
        raise InputError(f"--noise-timestep must be from 1 to 1000, not {number}")


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """InputError unless the value is one of the choices."""
    if value not in choices:
        raise InputError(f"{option} must be {', '.join(choices[:-1])} or {choices[-1]}, not {value!r}", _HELP)


def adjusted(
    preset: Preset, rounding: str | None, radius: int | None, near: float | None, background: str | None
) -> Preset:
    """The preset with what was given on the command line in its place; None keeps the preset's own.

    Raises:
        InputError: an option's value cannot be; it is named.
    """
    if rounding is not None and rounding not in _ROUNDINGS:
        raise InputError(f"--rounding must be {' or '.join(_ROUNDINGS)}, not {rounding!r}", _HELP)
    if radius is not None and not 0 <= radius <= _MOST_RADIUS:
        raise InputError(f"--point-radius must be from 0 to {_MOST_RADIUS}, not {radius}", _HELP)
    if near is not None and not 0 < near < FAR:
        raise InputError(f"--near must be above 0 and below {FAR:g} metres, not {near:g}", _HELP)
    data: dict[str, Any] = preset.model_dump()
    for group, field, value in (
        ("schedule", "rounding", rounding),
        ("renderer", "radius", radius),
        ("renderer", "near", near),
        ("renderer", "background", None if background is None else _colour(background)),
    ):
        if value is not None:
            data[group][field] = value
    try:
        return Preset.model_validate(data)
    except ValidationError as error:  # not to be reached by the options above
        first = error.errors(include_url=False)[0]
        raise InputError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", _HELP) from error


def _colour(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    values = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) <= 3]
    if not len(words) == len(values) == 3 or max(values) > 255:
        raise InputError(f"--background must be R,G,B, each from 0 to 255, not {text!r}", _HELP)
    return tuple(values)
