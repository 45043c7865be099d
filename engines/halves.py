"""The halves of the autoencoders: which encoders and decoders there are, and which graphs each of them is."""

from __future__ import annotations

from itertools import zip_longest
from typing import Literal, get_args

Half = Literal["full", "tiny"]
"""The published autoencoder's ("full", in chunks with caches) or the tiny one's (a clip at once, or a stream)."""
HALVES: tuple[Half, ...] = get_args(Half)
KIND: dict[str, Half] = {"cogvideox": "full", "tiny": "tiny"}
"""A preset's kind of autoencoder → what its halves are called."""


def pairs(encoders: tuple[Half, ...], decoders: tuple[Half, ...]) -> tuple[tuple[Half, Half], ...]:
    """Encoders with decoders: the default ones, and as many more as it takes for each half to be in one."""
    longer = zip_longest(encoders[1:], decoders[1:])
    more = ((encoder or encoders[0], decoder or decoders[0]) for encoder, decoder in longer)
    return ((encoders[0], decoders[0]), *more)


def images_graph(own: Half, encoder: Half) -> str:
    """The graph that encodes both condition images.

    Args:
        own: of the preset's own autoencoder.
        encoder: whose; the tiny one beside a full one has a name of its own.
    """
    return "encode_images" if encoder == own else f"encode_images_{encoder}"


def encoder_graphs(own: Half, encoder: Half) -> tuple[str, ...]:
    """The graphs of an encoder."""
    video = ("encode_first", "encode_next") if encoder == "full" else ("encode_clip", "encode_stream")
    return (images_graph(own, encoder), *video)


def decoder_graphs(decoder: Half) -> tuple[str, ...]:
    """The graphs of a decoder."""
    return ("decode_first", "decode_next") if decoder == "full" else ("decode_clip", "decode_stream")
