"""Pages in a real browser: their text, no error, no request, readable on a desktop and on a telephone, in light and dark."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bench.records import record
from tests.bench.report.records import full_record
from tests.support.browser import Browser, Shown, browser, needs_chromium
from videoscene_rt.bench.baselines.facts import BaselineFacts, Round
from videoscene_rt.bench.record import Record, read_record
from videoscene_rt.bench.report.compare_page import compare_page, named_records
from videoscene_rt.bench.report.page import report_page
from videoscene_rt.bench.report.strip import frame_strip
from videoscene_rt.bench.report.table import markdown_table
from videoscene_rt.engines.errors import InputError

RESULTS = Path(__file__).parents[3] / "bench" / "results"
VIDEO = np.random.default_rng(0).integers(0, 255, (9, 32, 48, 3), np.uint8)
SAID = (
    "Baselines, in turns",
    "10.00× (9.50 to 10.50)",
    "0.70× (0.70 to 0.70)",
    "output z_0 differs: RMS 1.0 and 3.0",
    "did not run: onnxruntime-gpu is not installed",
    "250 µs · 12.5×",
    "500 µs · 2.00×",
    "3,000 GB/s; fp32 60.0 TFLOP/s, fp16 600 TFLOP/s",
    "Projection to other devices",
    "Nobody has run this on these devices.",
    "Jetson Thor (T5000)",
    "throttled: power cap",
    "settled, drift +1.0%",
    "harness 0.400 µs a step",
    "20 Hz missed at times",
    "Latency in a closed loop",
    "takes 6,636 samples",
    "these are no MLPerf results",
    "At 20 Hz: missed at times",
    "2: replaced by a newer input",
    "One step by lane",
    "All stages add up to 750 µs; the captured step takes 1.70 ms",
    "0.600 J a step, 300 W; the GPU, NVML's counter",
    "MAXN (mode 0)",
    "clocks locked",
    "5,000 frames a second",
    "whole clips: <all> at once",
    "weights are untrained & <made> from seed 0",
    "14,790 (given scene)",
    "1.600×",
    "1.50 s until every engine is bound",
)
SIZES = ((1000, False), (390, True), (390, False))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def shown(chromium: Browser, folder: Path, page: str, width: int = 1000, dark: bool = False) -> Shown:
    path = folder / "page.html"
    path.write_text(page, encoding="utf-8")
    return chromium.show(path, width, dark=dark)


def check(found: Shown, width: int, dark: bool) -> None:
    assert (found.errors, found.requests, found.broken, found.outside) == ((), (), 0, ())
    assert found.width <= width, "the page scrolls sideways"
    assert found.smallest >= 12, "too small to read"
    shades = [int(part) for part in found.background.removeprefix("rgb(").removesuffix(")").split(",")]
    assert (max(shades) < 60) if dark else (min(shades) > 200)
    picture = Image.open(io.BytesIO(found.picture)).convert("L")
    assert picture.getextrema()[1] - picture.getextrema()[0] > 150, "nothing to see"


def test_what_failed_is_on_the_page_and_in_the_table() -> None:
    broken = BaselineFacts(
        name="torch-eager",
        precision="fp16",
        rounds=(Round(subject_ms=1, baseline_ms=3),),
        failure="its process <ended>",
    )
    found = full_record(failures={"roofline": "it broke | badly"}, baselines=(broken,))
    page, table = report_page(found), markdown_table(found)
    assert "failed: roofline" in page
    assert "What failed" in page
    assert "it broke | badly" in page
    assert "broke off: its process &lt;ended&gt;" in page
    assert "3.00× (3.00 to 3.00)" in page
    assert "failed: roofline; settled" in table
    assert "- **failed**: roofline: it broke \\| badly\n" in table
    assert "| torch-eager | fp16 | 3.00× (3.00 to 3.00) | 1 × " in table


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_a_page_with_everything(chromium: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    found = shown(chromium, tmp_path, report_page(full_record(), frame_strip(VIDEO, VIDEO)), width, dark)
    check(found, width, dark)
    assert found.title == "small · tensorrt fp16 · benchmark"
    for words in SAID:
        assert words in found.text, words


@needs_chromium
def test_a_page_with_next_to_nothing(chromium: Browser, tmp_path: Path) -> None:
    """A record of schema 1, of one sample, of one graph."""
    bare = record(np.array([2.0]), schema_version=1, overhead_us=None, output_rms={}, samples_us=None)
    found = shown(chromium, tmp_path, report_page(bare), 390)
    check_text(found)
    assert "takes 64 samples" in found.text
    zeros = record(np.zeros(3))
    check_text(shown(chromium, tmp_path, report_page(zeros), 390))


def check_text(found: Shown) -> None:
    assert (found.errors, found.requests, found.outside) == ((), (), ())
    assert "What was measured" in found.text


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), SIZES)
def test_records_side_by_side(chromium: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    slow = full_record(3.0, {"engine": "engines:1", "precision": "fp32"})
    other = full_record(2.0, {"bundle_sha256": "d" * 64, "preset": "other"})
    names = named_records([(Path("a/r.json"), full_record()), (Path("b/r.json"), slow), (Path("c/r.json"), other)])
    strip = frame_strip(VIDEO, VIDEO)
    found = shown(chromium, tmp_path, compare_page(names, [strip, None, strip]), width, dark)
    check(found, width, dark)
    assert "0.33×" in found.text
    assert "no ratio to the first, bundle: aaaaaaaaaaaa and dddddddddddd" in found.text
    assert "precision (differs)" in found.text


@needs_chromium
def test_the_committed_records_have_pages(chromium: Browser, tmp_path: Path) -> None:
    paths = sorted((RESULTS / "h100-chain" / "records").glob("tiny.chain.*.json"))
    records = [(path, read_record(path)) for path in paths]
    assert {one.schema_version for _, one in records} == {1}
    page = compare_page(named_records(records), [None] * len(records))
    check(shown(chromium, tmp_path, page, 390), 390, False)
    check(shown(chromium, tmp_path, report_page(records[0][1]), 390), 390, False)


def test_every_committed_record_is_readable() -> None:
    read = 0
    for path in sorted(RESULTS.rglob("records/*.json")):
        if '"schema_version"' in path.read_text() and '"identity"' in path.read_text():
            found: Record = read_record(path)
            assert report_page(found).count("<svg") % 2 == 0
            read += 1
    assert read > 40


def test_a_page_says_itself_that_it_needs_nothing() -> None:
    page = report_page(full_record(), frame_strip(VIDEO, VIDEO))
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace('xmlns="http://www.w3.org/2000/svg"', "").replace("http-equiv", "")
    assert len(page) < 2_000_000


def test_names_differ() -> None:
    same = [(Path(f"{folder}/r.json"), full_record()) for folder in ("a", "b")]
    assert [name for name, _ in named_records(same)] == [
        f"tensorrt fp16 chain-graph · small · a GPU · {folder}" for folder in ("a", "b")
    ]
    assert named_records([same[0], same[0]])[0][0].startswith("1 tensorrt")
    unlike = [(Path("a"), full_record()), (Path("b"), full_record(who={"precision": "int8"}))]
    assert [name for name, _ in named_records(unlike)] == ["tensorrt fp16 chain-graph", "tensorrt int8 chain-graph"]


def test_records_without_a_series_in_common() -> None:
    named = [("a", record()), ("b", record(statistics={"load": record().statistics["host"]}, samples_us=None))]
    with pytest.raises(InputError, match="no series in common"):
        compare_page(named, [None, None])


def test_the_table_for_a_pull_request() -> None:
    text = markdown_table(full_record(who={"preset": "a|b"}))
    assert text.splitlines()[0].startswith("**a\\|b**, tensorrt fp16 chain-graph, a GPU: settled")
    assert "| `rate.age` | 700 |" in text
    assert "- weights are untrained & &lt;made> from seed 0" in text
