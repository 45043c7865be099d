"""Schedules and timelines to draw."""

from __future__ import annotations

from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Placed, Schedule

EDGE = Schedule(
    (
        Placed("render", "renderer", 0, ()),
        Placed("encode", "encode_clip", 0, ()),
        Placed("encode_first_image", "encode_image", 1, ()),
        Placed("encode_last_image", "encode_image", 1, ()),
        Placed("policy", "policy", 0, ()),
        Placed("student", "student", 0, ("encode_last_image",)),
        Placed("decode", "decode_clip", 0, ()),
        Placed("watch", "watch", 0, ()),
    )
)
"""As it was when each condition image was a call of its own: two stages in a row on the second lane."""

EDGE_TIMES = (
    StageTime("render", 0, 0.0, 0.2),
    StageTime("encode", 0, 0.2, 0.8),
    StageTime("encode_first_image", 1, 0.1, 0.3),
    StageTime("encode_last_image", 1, 0.3, 0.5),
    StageTime("policy", 0, 0.8, 0.81),
    StageTime("student", 0, 1.0, 3.0),
    StageTime("decode", 0, 3.0, 4.99),
    StageTime("watch", 0, 4.99, 5.0),
)

THREE_LANES = Schedule(
    (
        Placed("a", "g", 0, ()),
        Placed("b", "g", 1, ("a",)),
        Placed("c", "g", 2, ("a", "b")),
        Placed("d", "g", 0, ("c",)),
        Placed("e", "g", 1, ("d",)),
        Placed("f", "g", 2, ()),
    )
)
