"""The contact sheet, looked at through its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoscene_rt.engines.errors import InputError
from videoscene_rt.pictures.contact_sheet import (
    BACKGROUND,
    HOLE_DARK,
    HOLE_LIGHT,
    chosen_frames,
    contact_sheet,
    write_contact_sheet,
)

H, W = 32, 48
FIRST, LAST = (10, 200, 10), (10, 10, 200)


def flat(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (H, W, 3)).copy()


def clips(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Coarse frames of colour (5i, 0, 90), refined ones of (5i, 0, 180): pixels say which frame is where."""
    coarse = np.stack([flat((5 * i, 0, 90)) for i in range(frames)])
    refined = np.stack([flat((5 * i, 0, 180)) for i in range(frames)])
    return coarse, refined


def where(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero((sheet == colour).all(axis=-1))


@pytest.mark.parametrize(
    ("frames", "columns", "expected"),
    [
        (9, 9, tuple(range(9))),
        (17, 9, tuple(range(0, 17, 2))),
        (49, 9, tuple(range(0, 49, 6))),
        (49, 2, (0, 48)),
        (3, 9, (0, 1, 2)),
    ],
)
def test_columns_are_even_and_hold_both_ends(frames: int, columns: int, expected: tuple[int, ...]) -> None:
    assert chosen_frames(frames, columns) == expected


@pytest.mark.parametrize("frames", [9, 17, 49])
def test_frames_stand_in_rows_between_the_inputs(frames: int) -> None:
    coarse, refined = clips(frames)
    sheet = np.asarray(contact_sheet(coarse, refined, flat(FIRST), flat(LAST), title="a title"))
    shown = chosen_frames(frames, 9)
    lefts = []
    for index in shown:
        upper, across = where(sheet, (5 * index, 0, 90))
        lower, below = where(sheet, (5 * index, 0, 180))
        assert upper.size == lower.size == H * W, "each chosen frame is there once, whole, unscaled"
        assert upper.max() < lower.min(), "coarse stands over refined"
        assert (across.min(), across.max()) == (below.min(), below.max()), "in the same column"
        lefts.append(across.min())
    assert lefts == sorted(lefts)
    for index in set(range(frames)) - set(shown):
        assert where(sheet, (5 * index, 0, 90))[0].size == 0
    first, last = where(sheet, FIRST)[1], where(sheet, LAST)[1]
    assert first.size == last.size == H * W
    assert first.max() < lefts[0]
    assert last.min() > lefts[-1] + W - 1


def test_holes_are_hatched_in_the_coarse_row_alone() -> None:
    coarse, refined = clips(9)
    holes = np.zeros((9, H, W), np.uint8)
    holes[3, 8:24, 12:36] = 1
    plain = np.asarray(contact_sheet(coarse, refined, flat(FIRST), flat(LAST), np.zeros_like(holes)))
    sheet = np.asarray(contact_sheet(coarse, refined, flat(FIRST), flat(LAST), holes))
    rows, columns = where(plain, (15, 0, 90))
    picture = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    marked = (sheet[picture] == HOLE_DARK).all(axis=-1) | (sheet[picture] == HOLE_LIGHT).all(axis=-1)
    np.testing.assert_array_equal(marked, holes[3] == 1)
    assert {HOLE_DARK, HOLE_LIGHT} <= set(map(tuple, sheet[picture][marked].tolist()))
    legend = rows.max() + 2 * H
    changed = (sheet != plain).any(axis=-1)
    changed[picture] = False
    changed[legend:] = False  # the share of holes, in words
    assert not changed.any()


def test_large_frames_are_scaled_to_the_width_and_keep_their_aspect() -> None:
    coarse = np.full((9, 480, 720, 3), 90, np.uint8)
    first = np.full((480, 720, 3), (0, 255, 0), np.uint8)
    sheet = contact_sheet(coarse, coarse, first, first, max_width=1200)
    assert 1100 < sheet.width <= 1200
    rows, columns = where(np.asarray(sheet)[:, : sheet.width // 2], (0, 255, 0))
    assert np.ptp(columns) + 1 == pytest.approx(1.5 * (np.ptp(rows) + 1), abs=1)


def test_labels_stay_on_the_sheet_and_any_title_can_be_drawn() -> None:
    coarse, refined = clips(9)
    sheet = np.asarray(contact_sheet(coarse, refined, flat(FIRST), flat(LAST), title="[red]/data/кот → 猫\n× [/red]"))
    assert (sheet[:6] == BACKGROUND).all()
    assert (sheet[-6:] == BACKGROUND).all()


def test_equal_input_gives_an_equal_file(tmp_path: Path) -> None:
    coarse, refined = clips(9)
    sheet = contact_sheet(coarse, refined, flat(FIRST), flat(LAST), np.ones((9, H, W), np.uint8))
    for name in ("a.png", "b.png"):
        write_contact_sheet(tmp_path / name, sheet)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), np.asarray(sheet))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("wrong", ["refined", "first", "last", "hole_mask"])
def test_shapes_that_do_not_fit_are_named(wrong: str) -> None:
    coarse, refined = clips(9)
    arguments = {
        "refined": refined,
        "first": flat(FIRST),
        "last": flat(LAST),
        "hole_mask": np.zeros((9, H, W), np.uint8),
    }
    arguments[wrong] = arguments[wrong][..., :-1]
    with pytest.raises(InputError, match=f"^{wrong} must be uint8"):
        contact_sheet(coarse, **arguments)
