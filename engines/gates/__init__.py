"""How far an engine may be from the FP32 reference: limits for each family of graphs and each precision, as data."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.engines.errors import BackendError

CHAIN = "chain"
"""The name under which the whole step is gated, end to end."""

_FILE = "thresholds.json"


class Limits(BaseModel):
    """What an engine must keep on every scene; None is not asked for. NaN and infinity are never allowed, and whole numbers
    (a timestep) must be equal.

    Attributes:
        relative_l2: largest ‖engine − reference‖ / ‖reference‖ of any floating-point output.
        cosine: smallest cosine similarity of any floating-point output.
        psnr: smallest peak signal-to-noise ratio of pictures, dB, peak 255; where it is None, relative_l2 counts for pictures too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    relative_l2: float | None = Field(default=None, ge=0)
    cosine: float | None = Field(default=None, ge=-1, le=1)
    psnr: float | None = None


class _Thresholds(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    meaning: str
    families: dict[str, dict[str, Limits]]


def limits(graph: str, precision: str) -> Limits:
    """The limits of a graph: those of its family, the first word of its name, in a precision.

    Raises:
        BackendError: nobody has set any for this pair.
    """
    family = graph.partition("_")[0]
    found = _thresholds().families.get(family, {}).get(precision)
    if found is None:
        raise BackendError(
            f"the gate has no limits for graph {graph} in {precision}", f"add them to engines/gates/{_FILE}"
        )
    return found


@cache
def _thresholds() -> _Thresholds:
    return _Thresholds.model_validate_json(files(__package__).joinpath(_FILE).read_bytes())
