"""Videos, read back through a decoder."""

from __future__ import annotations

import errno
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.pictures import video
from videoscene_rt.pictures.video import write_video


def smooth_clip(frames: int, height: int, width: int) -> np.ndarray:
    """Slowly moving colour waves: uint8[F,H,W,3]."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    waves = [np.sin(x / 23 + t / 5), np.cos(y / 17 - t / 7), np.sin((x + y) / 31 + t / 9)]
    return np.stack([127.5 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


def decode(path: Path) -> tuple[np.ndarray, av.VideoStream]:
    """The frames, by the file's own colour tags, and the stream they came from."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return np.stack(frames), stream


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b) ** 2)))


@pytest.mark.parametrize("shape", [(9, 128, 192), (1, 32, 48)])
def test_video_reads_back_as_it_was(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    clip = smooth_clip(*shape)
    write_video(tmp_path / "clip.mp4", clip, fps=8)
    decoded, stream = decode(tmp_path / "clip.mp4")
    assert decoded.shape == clip.shape
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert stream.average_rate == 8
    assert psnr(decoded, clip) > 38


def test_frames_keep_their_order(tmp_path: Path) -> None:
    levels = np.arange(20, 240, 12)
    clip = np.broadcast_to(levels[:, None, None, None], (len(levels), 32, 32, 3)).astype(np.uint8)
    write_video(tmp_path / "ramp.mp4", clip)
    decoded, _ = decode(tmp_path / "ramp.mp4")
    assert np.abs(decoded.mean(axis=(1, 2, 3)) - levels).max() < 3


def test_saturated_colours_survive_and_are_tagged(tmp_path: Path) -> None:
    # A wrong matrix (BT.601 written, BT.709 read) moves pure green by some 40 levels.
    colours = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128]], np.uint8)
    clip = np.broadcast_to(colours[:, None, None, :], (4, 48, 64, 3))
    write_video(tmp_path / "colours.mp4", clip)
    with av.open(str(tmp_path / "colours.mp4")) as container:
        for frame, colour in zip(container.decode(video=0), colours, strict=True):
            assert (frame.colorspace, frame.color_range) == (1, 1)
            planes = [np.asarray(plane, np.uint8).reshape(-1, plane.line_size)[0, 0] for plane in frame.planes]
            assert np.abs(bt709_to_rgb(*map(float, planes)) - colour).max() < 6


def bt709_to_rgb(y: float, cb: float, cr: float) -> np.ndarray:
    """Limited-range Y'CbCr to R'G'B', ITU-R BT.709: Kr = 0.2126, Kb = 0.0722."""
    luma, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    return 255 * np.array([r, (luma - 0.2126 * r - 0.0722 * b) / 0.7152, b])


def test_index_stands_before_the_data(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", smooth_clip(9, 64, 64))
    data = (tmp_path / "clip.mp4").read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")


def test_rate_may_be_a_fraction(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", smooth_clip(9, 32, 32), fps=Fraction(30000, 1001))
    assert decode(tmp_path / "clip.mp4")[1].average_rate == Fraction(30000, 1001)


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("old")
    write_video(tmp_path / "clip.mp4", smooth_clip(3, 32, 32))
    assert decode(tmp_path / "clip.mp4")[0].shape[0] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3, 31, 32, 3), np.uint8),
        np.zeros((3, 32, 33, 3), np.uint8),
        np.zeros((0, 32, 32, 3), np.uint8),
        np.zeros((3, 32, 32, 4), np.uint8),
        np.zeros((3, 32, 32), np.uint8),
        np.zeros((3, 32, 32, 3), np.float32),
    ],
)
def test_wrong_frames_are_refused_before_a_file_appears(tmp_path: Path, frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="video"):
        write_video(tmp_path / "clip.mp4", frames)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -1, 0.0004, float("nan"), float("inf"), 1e9])
def test_wrong_rates_are_refused(tmp_path: Path, fps: float) -> None:
    with pytest.raises(InputError, match="frames per second"):
        write_video(tmp_path / "clip.mp4", smooth_clip(3, 32, 32), fps)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        write_video(tmp_path / "nowhere" / "clip.mp4", smooth_clip(3, 32, 32))


def test_a_missing_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ENCODER", "libx264_that_is_not_there")
    with pytest.raises(BackendError, match="no libx264_that_is_not_there encoder"):
        write_video(tmp_path / "clip.mp4", smooth_clip(3, 32, 32))
    assert not any(tmp_path.iterdir())


def test_a_failure_half_way_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip.mp4").write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(video, "_encode", full)
    with pytest.raises(OSError, match="No space"):
        write_video(tmp_path / "clip.mp4", smooth_clip(3, 32, 32))
    assert (tmp_path / "clip.mp4").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
