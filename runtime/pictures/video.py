"""Frames to an H.264 file that every player opens."""

from __future__ import annotations

import os
from fractions import Fraction
from math import isfinite
from typing import cast

import av
import av.container
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.pictures.atomic import replacing

ENCODER = "libx264"
QUALITY = 16
"""x264's constant rate factor: 0 is lossless, 18 is commonly held to look lossless."""

# ITU-T H.273's code points for BT.709 (primaries, transfer, matrix) and limited range. A player that is not told guesses.
_BT709 = 1
_LIMITED_RANGE = 1


def write_video(path: str | os.PathLike[str], frames: npt.NDArray[np.uint8], fps: float | Fraction = 8) -> None:
    """Write an mp4: H.264, yuv420p, BT.709, index at the front; under a temporary name first.

    Args:
        path: the file to write; its folder exists.
        frames: uint8[F,H,W,3] RGB, F ≥ 1, H and W even (yuv420p halves the colour's resolution; nothing is padded).
        fps: frames per second.

    Raises:
        InputError: the frames or the rate are not as above, or the path cannot be written.
        BackendError: PyAV has no libx264, or it refuses to encode.
        OSError: the system failed while writing (a full disk); nothing is left behind.
    """
    rate = checked_rate(fps)
    _check_frames(frames)
    _check_encoder()
    with replacing(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
                _encode(container, frames, rate)
        except av.FFmpegError as error:
            if isinstance(error, (OSError, MemoryError)):
                raise
            raise BackendError(f"{path}: FFmpeg cannot encode the video: {error.strerror}") from error


def _encode(container: av.container.OutputContainer, frames: npt.NDArray[np.uint8], rate: Fraction) -> None:
    options = {"crf": str(QUALITY), "preset": "medium"}
    stream = cast(VideoStream, container.add_stream(ENCODER, rate=rate, options=options))
    _, stream.height, stream.width, _ = frames.shape
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE
    for frame in frames:
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        container.mux(
            stream.encode(picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"))
        )
    container.mux(stream.encode(None))


def checked_rate(fps: float | Fraction) -> Fraction:
    """Frames per second as a fraction that a video can hold; InputError unless 0.001 ≤ fps ≤ 1000."""
    if not isfinite(fps) or not 0.001 <= fps <= 1000:
        raise InputError(f"a video's rate must be from 0.001 to 1000 frames per second, not {fps}")
    return Fraction(fps).limit_denominator(1001)


def _check_frames(frames: npt.NDArray[np.uint8]) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        raise InputError(f"a video's frames must be uint8[F,H,W,3], not {frames.dtype}{list(frames.shape)}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise InputError(f"a video's height and width must be even, not {frames.shape[1]}×{frames.shape[2]}")


def _check_encoder() -> None:
    try:
        av.Codec(ENCODER, "w")
    except ValueError as error:  # PyAV's UnknownCodecError
        raise BackendError(
            f"PyAV {av.__version__} has no {ENCODER} encoder here, which writes H.264",
            "pip install --force-reinstall --only-binary av av (the published wheels have it)",
        ) from error
