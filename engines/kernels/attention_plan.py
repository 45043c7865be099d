"""How the attention kernel is launched: sizes and strides, the shape that is compiled, blocks and shared memory.

The numbers and formulas are attention.cu's; tests hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Literal

from videoscene_rt.engines.errors import BackendError

DIM = 64
"""Channels of a head."""
HOPPER = "9.0"
"""The one compute capability that attention_hopper.cu is for."""
_BYTES = 2
_CHUNKS = DIM * _BYTES // 16
_BAND = 16
_MOST_TOKENS = 2**30
_MOST_BLOCKS = 2**31 - 1
_HOPPER_SHARED_BYTES = 227 * 1024

Layout = Literal["apart", "together"]
"""Heads apart, [batch,heads,tokens,64], or a token's heads together, [batch,tokens,heads,64]."""


@dataclass(frozen=True)
class AttentionSizes:
    """softmax(Q·Kᵀ·scale)·V of every head.

    Attributes:
        batch, heads, queries, keys: queries and keys in tokens.
        layout: of all four tensors.
        scale: of the scores.

    Raises:
        BackendError: the kernel does not take them.
    """

    batch: int
    heads: int
    queries: int
    keys: int
    layout: Layout = "apart"
    scale: float = 1 / sqrt(DIM)

    def __post_init__(self) -> None:
        least, most = min(self.batch, self.heads, self.queries, self.keys), max(self.queries, self.keys)
        if least < 1 or most > _MOST_TOKENS or self.batch * self.heads * (self.queries // _BAND + 1) > _MOST_BLOCKS:
            raise BackendError(f"the attention kernel cannot take {self}")
        if not isfinite(self.scale) or self.scale <= 0:
            raise BackendError(f"the attention kernel's scale must be positive, not {self.scale}")

    def shape(self, tokens: int) -> tuple[int, int, int, int]:
        """Of a tensor with that many tokens."""
        if self.layout == "apart":
            return self.batch, self.heads, tokens, DIM
        return self.batch, tokens, self.heads, DIM

    def strides(self, tokens: int) -> tuple[int, int, int]:
        """Of batch, head and token, in values."""
        whole = self.heads * tokens * DIM
        return (whole, tokens * DIM, DIM) if self.layout == "apart" else (whole, DIM, self.heads * DIM)

    @property
    def operations(self) -> int:
        """Multiplications and additions of the two matrix products."""
        return 4 * self.batch * self.heads * self.queries * self.keys * DIM


@dataclass(frozen=True)
class AttentionTuning:
    """What may be chosen; the result changes by rounding alone.

    Attributes:
        rows: queries of a block. keys: of a tile. warps: of a block; each has rows / warps queries, a multiple of 16.
        stages: tiles of K and V in shared memory.
        emulated: of 8 powers, how many are computed by arithmetic.
        blocks: that shall fit a multiprocessor together.

    Raises:
        BackendError: there is no such kernel.
    """

    rows: int = 128
    keys: int = 64
    warps: int = 4
    stages: int = 2
    emulated: int = 0
    blocks: int = 2

    def __post_init__(self) -> None:
        whole = self.warps >= 1 and self.rows >= 1 and self.rows % (self.warps * _BAND) == 0
        copied = self.warps >= 1 and self.keys >= 1 and self.keys % max(_BAND, self.threads // _CHUNKS) == 0
        ranges = self.warps <= 32 and 2 <= self.stages <= 8 and 0 <= self.emulated <= 8 and self.blocks >= 1
        if not (whole and copied and ranges and self.threads // _CHUNKS % 8 == 0):
            raise BackendError(f"there is no attention kernel of the shape {self}")

    @property
    def source(self) -> str:
        """The file with the kernel."""
        return "attention.cu"

    @property
    def threads(self) -> int:
        """Of a block."""
        return 32 * self.warps

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return 2 * self.stages * self.keys * DIM * _BYTES

    @property
    def defines(self) -> dict[str, int]:
        """Macros for attention.cu."""
        return {
            "VSRT_ATTENTION_ROWS": self.rows,
            "VSRT_ATTENTION_KEYS": self.keys,
            "VSRT_ATTENTION_WARPS": self.warps,
            "VSRT_ATTENTION_STAGES": self.stages,
            "VSRT_ATTENTION_EMULATED": self.emulated,
            "VSRT_ATTENTION_BLOCKS": self.blocks,
        }

    def grid(self, sizes: AttentionSizes) -> int:
        """Blocks for these sizes."""
        return sizes.batch * sizes.heads * -(-sizes.queries // self.rows)


@dataclass(frozen=True)
class HopperTuning:
    """The same for attention_hopper.cu, on compute capability 9.0 alone.

    Attributes:
        consumers: warpgroups with 64 queries each, 2 or 3. keys: of a tile, 64 or 128.
        stages: tiles of K and V in shared memory, at least 3.
        emulated: of 8 powers, how many are computed by arithmetic.

    Raises:
        BackendError: there is no such kernel.
    """

    consumers: int = 3
    keys: int = 128
    stages: int = 4
    emulated: int = 0

    def __post_init__(self) -> None:
        fits = self.shared_bytes <= _HOPPER_SHARED_BYTES
        if self.consumers not in (2, 3) or self.keys not in (64, 128) or self.stages < 3 or not fits:
            raise BackendError(f"there is no attention kernel of the shape {self}")
        if not 0 <= self.emulated <= 8:
            raise BackendError(f"there is no attention kernel of the shape {self}")

    @property
    def source(self) -> str:
        """The file with the kernel."""
        return "attention_hopper.cu"

    @property
    def threads(self) -> int:
        """Of a block: the consumers', and a warpgroup that copies."""
        return 128 * (self.consumers + 1)

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block: queries, tiles, two barriers a stage."""
        return (64 * self.consumers + 2 * self.stages * self.keys) * DIM * _BYTES + 2 * self.stages * 8

    @property
    def defines(self) -> dict[str, int]:
        """Macros for attention_hopper.cu."""
        return {
            "VSRT_ATTENTION_CONSUMERS": self.consumers,
            "VSRT_ATTENTION_KEYS": self.keys,
            "VSRT_ATTENTION_STAGES": self.stages,
            "VSRT_ATTENTION_EMULATED": self.emulated,
        }

    def grid(self, sizes: AttentionSizes) -> int:
        """Blocks for these sizes."""
        return sizes.batch * sizes.heads * -(-sizes.queries // (64 * self.consumers))


Tuning = AttentionTuning | HopperTuning


def tuning_for(compute_capability: str) -> Tuning:
    """What a device of a compute capability ("9.0") gets where nothing is asked for."""
    return HopperTuning() if compute_capability == HOPPER else AttentionTuning()
