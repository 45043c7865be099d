"""How much may change over a soak, as data."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from videoscene_rt.engines.errors import InputError


class Limits(BaseModel):
    """What is still no growth. It is counted after the warm-up, from the first quarter of the run to the last.

    Attributes:
        host_mib, host_share: resident memory of the process: neither may be exceeded.
        python_blocks: memory blocks that Python holds, after its garbage was collected.
        device_mib: device memory in use, by everybody.
        threads, open_files: of the process.
        p50_share, p50_ms, p99_share, p99_ms: of a step's time: too much where both the share and the amount are exceeded.
        unserved_share: of the inputs that came at a rate, those that were dropped or answered after the deadline.
        bad_steps: steps that were invalid or failed, and hangs that the watchdog saw.

    Equal input gives equal bits: there is no limit to set for that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host_mib: FiniteFloat = Field(default=16.0, ge=0)
    host_share: FiniteFloat = Field(default=0.05, ge=0)
    python_blocks: int = Field(default=1000, ge=0)
    device_mib: FiniteFloat = Field(default=0.0, ge=0)
    threads: int = Field(default=0, ge=0)
    open_files: int = Field(default=0, ge=0)
    p50_share: FiniteFloat = Field(default=0.25, ge=0)
    p50_ms: FiniteFloat = Field(default=0.5, ge=0)
    p99_share: FiniteFloat = Field(default=0.5, ge=0)
    p99_ms: FiniteFloat = Field(default=1.0, ge=0)
    unserved_share: FiniteFloat = Field(default=0.5, ge=0, le=1)
    bad_steps: int = Field(default=0, ge=0)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Limits:
        """Limits from a JSON file: an object with some of these fields; the others keep their defaults.

        Raises:
            InputError: there is no such file, or a field is unknown or out of range.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the limits"
            raise InputError(f"{path}: {place}: {first['msg']}", f"there are {', '.join(cls.model_fields)}") from error
