"""Progress and numbers."""

from __future__ import annotations

import json

import pytest

from videoscene_rt.cli import console


def test_without_a_terminal_progress_is_two_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("reading [b]x[/b]", 3) as step:
        for _ in range(3):
            step(detail="[red]y")
    written = capsys.readouterr()
    first, last = written.err.splitlines()
    assert first == "reading [b]x[/b] …"
    assert last.startswith("reading [b]x[/b]: ")
    assert written.out == ""


def test_quiet_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress("reading", quiet=True) as step:
        step()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = console.Console(force_terminal=True, width=100, markup=False, record=True, file=None, stderr=True)
    monkeypatch.setattr(console, "STATUS", terminal)
    with console.progress("reading [b]x[/b]", 2) as step:
        step(detail="[red]y[/red]")
        step()
    text = terminal.export_text()
    assert "reading [b]x[/b]: " in text


def test_failed_work_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no"), console.progress("reading"):
        raise ValueError("no")
    assert capsys.readouterr().err.splitlines() == ["reading …"]


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0.0001, "0.10 ms"),
        (0.0042, "4.2 ms"),
        (0.25, "250 ms"),
        (1.25, "1.2 s"),
        (59.99, "1 min 00 s"),
        (75, "1 min 15 s"),
    ],
)
def test_durations(duration: float, text: str) -> None:
    assert console.seconds(duration) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (2**20 - 1, "1.0 MiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**40, "1.0 TiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert console.size(count) == text


def test_numbers() -> None:
    assert console.milliseconds(1234) == "1,234 ms"


def test_json_is_one_document_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"path": "a\udcff[b]"})
    assert json.loads(capsys.readouterr().out) == {"path": "a\udcff[b]"}
    with pytest.raises(ValueError, match="JSON"):
        console.print_json(float("nan"))
