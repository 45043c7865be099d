"""The schedule's picture, looked at through its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runtime.pictures.schedules import EDGE, EDGE_TIMES, THREE_LANES
from videoscene_rt.chain.program import StageTime
from videoscene_rt.chain.schedule import Placed, Schedule
from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.contact_sheet import BACKGROUND, INK
from videoscene_rt.pictures.schedule import LANES, draw_schedule, write_schedule
from videoscene_rt.pictures.text import text_width, wrapped

LEFT = 84
"""Pixels: the boxes begin here; lanes' names and the table's swatches stand further left."""


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def boxes(picture: Image.Image, lane: int) -> list[tuple[int, int]]:
    """First and last column of each box of a lane, found by its colour."""
    coloured = (pixels(picture)[:, LEFT:] == LANES[lane]).all(axis=-1).any(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], coloured, [0]]))) + LEFT
    return list(zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True))


@pytest.mark.parametrize("width", [480, 700, 1200, 2000])
def test_without_times_boxes_are_equally_wide_and_stand_in_columns(width: int) -> None:
    picture = draw_schedule(EDGE, width=width)
    assert picture.width == width
    main, images = boxes(picture, 0), boxes(picture, 1)
    assert (len(main), len(images)) == (6, 2)
    widths = [right - left for left, right in main + images]
    assert max(widths) - min(widths) <= 1
    assert [left for left, _ in images] == [left for left, _ in main[:2]], (
        "the images are encoded beside render and encode"
    )
    assert main[-1][1] < width


def test_with_times_boxes_are_to_scale() -> None:
    picture = draw_schedule(EDGE, EDGE_TIMES, width=1200)
    main = boxes(picture, 0)
    left, right = main[0][0], main[-1][1]
    scale = (right - left) / 5.0
    expected = [time for time in EDGE_TIMES if time.lane == 0]
    assert len(main) == len(expected)
    for (begin, end), time in zip(main, expected, strict=True):
        assert begin == pytest.approx(left + scale * time.start_ms, abs=3)
        assert end == pytest.approx(left + scale * time.end_ms, abs=4)


def test_a_stage_of_no_length_is_still_to_be_seen() -> None:
    times = [
        StageTime(time.stage, time.lane, time.start_ms, time.start_ms) if time.stage == "policy" else time
        for time in EDGE_TIMES
    ]
    assert len(boxes(draw_schedule(EDGE, times), 0)) == 6


def test_lanes_have_colours_and_rows_of_their_own() -> None:
    picture = draw_schedule(THREE_LANES)
    rows = []
    for lane in range(3):
        found = (pixels(picture)[:, LEFT:] == LANES[lane]).all(axis=-1)
        rows.append(np.flatnonzero(found.any(axis=1)))
        assert len(boxes(picture, lane)) == 2
    assert rows[0].max() < rows[1].min()
    assert rows[1].max() < rows[2].min()


def test_an_arrow_leads_from_what_is_waited_for_to_who_waits() -> None:
    """Ink between the lanes: one connected piece that touches both boxes."""
    ndimage = pytest.importorskip("scipy.ndimage")
    with_arrow = draw_schedule(EDGE)
    without = draw_schedule(Schedule(tuple(Placed(p.stage, p.graph, p.lane, ()) for p in EDGE.placed)))
    main, images = boxes(with_arrow, 0), boxes(with_arrow, 1)
    is_lane = [(pixels(with_arrow)[:, LEFT:] == LANES[lane]).all(axis=-1).any(axis=1) for lane in (0, 1)]
    top, bottom = int(np.flatnonzero(is_lane[0]).max()) + 1, int(np.flatnonzero(is_lane[1]).min())
    pieces, count = ndimage.label((pixels(with_arrow)[top:bottom] == INK).all(axis=-1), np.ones((3, 3)))
    assert count == 1
    ends = np.flatnonzero(pieces[0]), np.flatnonzero(pieces[-1])
    student, last_image = main[3], images[1]
    assert all(student[0] <= x <= student[1] for x in ends[0])
    assert all(last_image[0] <= x <= last_image[1] for x in ends[1])
    gap = pixels(without)[top : bottom - 7, LEFT:]
    assert (gap == BACKGROUND).all(), "nothing is drawn where nothing waits"


def test_arrows_out_of_several_lanes_into_one_stage_stay_apart() -> None:
    """Each of the three images' arrows has a line of its own where it leaves and where it ends."""
    images = tuple(Placed(f"image_{lane}", "encode_image", lane, ()) for lane in (1, 2, 3))
    waits = tuple(image.stage for image in images)
    picture = draw_schedule(Schedule((Placed("render", "r", 0, ()), *images, Placed("student", "s", 0, waits))))
    lines = [np.flatnonzero((pixels(picture)[:, LEFT:] == LANES[lane]).all(axis=-1).any(axis=1)) for lane in (0, 1)]
    under, over = int(lines[0].max()) + 1, int(lines[1].min()) - 1
    for row, width in ((under, 2), (over, 2)):
        ink = np.flatnonzero((pixels(picture)[row] == INK).all(axis=-1))
        assert len(np.flatnonzero(np.diff(ink) > width)) == 2, "three, apart"


def test_the_picture_holds_every_stage_however_many_there_are() -> None:
    many = Schedule(tuple(Placed(f"decode_{i}", "decode_next", 0, ()) for i in range(40)))
    picture = draw_schedule(many, title="forty")
    assert len(boxes(picture, 0)) == 40
    assert picture.height > 40 * 20, "each has a line in the table"


def test_a_title_makes_room_for_itself_and_needs_no_other_font() -> None:
    plain, titled = draw_schedule(EDGE), draw_schedule(EDGE, title="edge → 漢字")
    assert titled.height > plain.height
    assert not (pixels(titled)[:35] == BACKGROUND).all()


def test_a_picture_that_is_too_narrow_is_refused() -> None:
    with pytest.raises(InputError, match="at least 480 pixels wide, not 479"):
        draw_schedule(EDGE, width=479)


def test_it_is_written_as_png_or_not_at_all(tmp_path: Path) -> None:
    picture = draw_schedule(EDGE, EDGE_TIMES)
    write_schedule(tmp_path / "s.png", picture)
    with Image.open(tmp_path / "s.png") as read:
        assert read.format == "PNG"
        assert np.array_equal(pixels(read.convert("RGB")), pixels(picture))
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]
    with pytest.raises(InputError, match="does not exist"):
        write_schedule(tmp_path / "gone" / "s.png", picture)


def test_text_is_broken_between_words() -> None:
    text = "to scale: 5.360 ms from the first stage's beginning to the last one's end"
    lines = wrapped(text, 15, 200)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert all(text_width(line, 15) <= 200 for line in lines)
    assert wrapped("unbreakable", 15, 5) == ["unbreakable"]
    assert wrapped("", 15, 5) == []
