"""Markup, numbers, axes and plots by themselves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from videoscene_rt.bench.overlap import StageSpan
from videoscene_rt.bench.record import Statistics
from videoscene_rt.bench.report import numbers
from videoscene_rt.bench.report.bars import Bar, bars
from videoscene_rt.bench.report.distribution import histograms, run_chart
from videoscene_rt.bench.report.markup import Markup, facts, join, table, tag
from videoscene_rt.bench.report.svg import NARROW, WIDE, Scale, ticks
from videoscene_rt.bench.report.tails import tails
from videoscene_rt.bench.report.timeline import timeline, together


def test_what_is_no_markup_is_escaped() -> None:
    assert tag("p", "<b> & ", tag("b", '"x"'), None, class_="a", data_x='"') == (
        '<p class="a" data-x="&quot;">&lt;b&gt; &amp; <b>&quot;x&quot;</b></p>'
    )
    assert join("<", Markup("<")) == "&lt;<"
    assert tag("img", src="x") == '<img src="x">'
    assert tag("rect", x=1.0, y=0.333, z=None, hidden=False) == '<rect x="1" y="0.33"></rect>'
    assert "n" in table(("a", "b"), [("<", "2")])
    assert "&lt;" in table(("a",), [("<",)])
    assert facts([("a", None)]) == ""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.0123, "12.3 µs"),
        (0.64, "640 µs"),
        (1.689, "1.69 ms"),
        (12.34, "12.3 ms"),
        (330.2, "330 ms"),
        (12345.6, "12,346 ms"),
    ],
)
def test_milliseconds(value: float | None, words: str) -> None:
    assert numbers.ms(value) == words


def test_other_numbers() -> None:
    assert [numbers.size(n) for n in (None, 0, 512, 1536, 3 << 20, -2048)] == [
        "–",
        "0 B",
        "512 B",
        "1.5 KiB",
        "3.0 MiB",
        "-2.0 KiB",
    ]
    assert (numbers.share(0.123), numbers.share(None)) == ("12 %", "–")


@example(low=599894.0, span=1e-6, most=6)
@given(st.floats(0, 1e6), st.floats(1e-6, 1e6), st.integers(1, 12))
def test_ticks_are_round_and_few(low: float, span: float, most: int) -> None:
    found = ticks(low, low + span, most)
    assert len(found) <= most + 1
    assert all(low - 1e-9 * low <= value <= (low + span) * (1 + 1e-9) for value in found)


def test_a_span_of_nothing_has_a_tick_and_a_place() -> None:
    assert ticks(3, 3, 5) == [3]
    assert next(f"{value:g}" for value in ticks(-2.9, 140, 7)) == "0"
    assert Scale(3, 3, 0, 100)(3) == 50


SPANS = (
    StageSpan(stage="render", lane=0, start_ms=0, end_ms=1),
    StageSpan(stage="encode", lane=0, start_ms=1, end_ms=4),
    StageSpan(stage="first", lane=1, start_ms=0.5, end_ms=3),
    StageSpan(stage="last", lane=2, start_ms=2, end_ms=3.5),
)


def test_what_ran_together() -> None:
    assert together(SPANS) == [(0.5, 1), (1, 3.5)] or together(SPANS) == [(0.5, 3.5)]
    assert together(SPANS[:2]) == []


SAMPLES = np.random.default_rng(0).gamma(4, 2, 700)
PLOTS: tuple[Callable[[int], Markup], ...] = (
    lambda width: histograms(
        {"a": (SAMPLES.tolist(), Statistics.of(SAMPLES)), "b": ([5.0], Statistics.of([5.0]))}, width
    ),
    lambda width: histograms({"still": ([0.0, 0.0], Statistics.of([0.0, 0.0]))}, width),
    lambda width: run_chart(SAMPLES.tolist(), width, 20.0, "deadline"),
    lambda width: run_chart([0.0], width),
    lambda width: tails({"a": SAMPLES.tolist(), "b": [3.0]}, width),
    lambda width: timeline(SPANS, width),
    lambda width: timeline((StageSpan(stage="none", lane=0, start_ms=0, end_ms=0),), width),
    lambda width: bars(
        [Bar("a", 2.0, "2 ms", low=1.0, high=3.0, floor=0.5), Bar("b", 0.0, "0 ms")], width, "x", one=1.0
    ),
)


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("draw", PLOTS)
def test_every_plot_is_xml_with_numbers_inside_its_box(draw: Callable[[int], Markup], width: int) -> None:
    text = draw(width)
    root = ET.fromstring(text)
    assert root.attrib["width"] == str(width)
    assert not re.search(r"nan|inf", re.sub(r"<title>.*?</title>", "", text))
    height = float(root.attrib["height"])
    for element in root.iter():
        for key, most in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("cy", height)):
            if key in element.attrib:
                assert -1 <= float(element.attrib[key]) <= most + 1, (element.tag, element.attrib)


def test_a_histogram_counts_every_sample() -> None:
    text = histograms({"a": (SAMPLES.tolist(), Statistics.of(SAMPLES))}, WIDE)
    assert sum(int(count) for count in re.findall(r"<title>(\d+) from", text)) == 700
