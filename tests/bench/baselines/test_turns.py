"""Turns with a process that the test makes, and with torch itself."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt import Pipeline
from videoscene_rt.bench.baselines.facts import BaselineFacts, Round
from videoscene_rt.bench.baselines.request import NAMES, BaselineRequest
from videoscene_rt.bench.baselines.turns import BaselineProcess, chosen, in_turns
from videoscene_rt.bench.chain_pipeline import fill, whole_results
from videoscene_rt.bench.chain_scene import sources
from videoscene_rt.bench.inputs import rms
from videoscene_rt.engines.errors import BackendError, InputError

CHILD = """
import json, sys, time
print("what a library prints", file=sys.stderr)
request = json.loads(sys.stdin.readline())
say = lambda message: print(json.dumps(message), flush=True)
say({first})
for line in sys.stdin:
    time.sleep(0.002)
    {turn}
"""
READY: dict[str, Any] = {
    "setup_s": 0.1,
    "precision": "fp16",
    "versions": {"it": "1"},
    "notes": ["made up"],
    "output_rms": {"frames": 2.0},
}
TURN = 'say({"host_ms": [8.0] * json.loads(line)["steps"]})'


def child(folder: Path, first: dict[str, Any] | None = None, turn: str = TURN) -> str:
    """The command line of a program that stands for the interpreter; the module it is told to run is in its arguments, unread."""
    path = folder / "child.py"
    path.write_text(CHILD.format(first=first or READY, turn=turn))
    return f"{sys.executable} {path}"


def request(**told: Any) -> BaselineRequest:
    return BaselineRequest(**{"name": "torch-eager", "bundle": "none.bundle", **told})


def test_turns_and_their_ratio(tmp_path: Path) -> None:
    order: list[int] = []
    found = in_turns(request(), child(tmp_path), lambda: order.append(0), rounds=3)
    assert len(found.rounds) == 3
    assert {turn.baseline_ms for turn in found.rounds} == {8.0}
    assert len(order) == 3 + 3 * found.steps
    assert (found.precision, found.setup_s, found.output_rms, found.notes) == (
        "fp16",
        0.1,
        {"frames": 2.0},
        ("made up",),
    )
    assert found.ratio is not None
    assert found.ratio[1] <= found.ratio[0] <= found.ratio[2]
    assert found.failure == ""


def test_the_ratio_is_of_rounds() -> None:
    turns = tuple(Round(subject_ms=ours, baseline_ms=theirs) for ours, theirs in ((1, 4), (2, 6), (1, 10), (1, 5)))
    facts = BaselineFacts(name="x", precision="fp32", rounds=turns)
    assert facts.ratio == (4.5, 3, 10)
    assert BaselineFacts(name="x", precision="fp32").ratio is None


def test_outputs_that_differ_are_doubted() -> None:
    facts = BaselineFacts(name="x", precision="fp32", output_rms={"frames": 2.0, "depth": None})
    assert facts.doubt({"frames": 2.05}) == ""
    assert facts.doubt({"frames": 2.5}) == "output frames differs: RMS 2.5 and 2.0"
    assert "depth" in facts.doubt({"depth": 1.0})


@pytest.mark.parametrize(
    ("first", "turn", "words"),
    [
        ({"error": "torch sees no CUDA device", "remedy": None}, TURN, "torch sees no CUDA device"),
        (None, 'say({"error": "out of memory", "remedy": None})', "out of memory"),
        (None, "sys.exit(7)", "its process ended with 7; its last words: what a library prints"),
    ],
)
def test_a_baseline_that_cannot_run_is_told_and_no_error(
    tmp_path: Path, first: dict[str, Any] | None, turn: str, words: str
) -> None:
    found = in_turns(request(), child(tmp_path, first, turn), lambda: None)
    assert found.failure == words
    assert found.rounds == ()


def test_an_interpreter_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be started"):
        BaselineProcess(request(), str(tmp_path / "python"))
    with pytest.raises(InputError, match="cannot be started"):
        BaselineProcess(request(), "python 'unfinished")
    with pytest.raises(BackendError, match="said nothing"):
        BaselineProcess(request(), f"{sys.executable} -S -c pass")


def test_one_that_breaks_off_keeps_its_rounds(tmp_path: Path) -> None:
    """It answers three times and is gone: three steps to find its pace, and two rounds."""
    path = tmp_path / "child.py"
    code = CHILD.format(first=READY, turn=TURN).replace(
        "for line in sys.stdin:", "for line, _ in zip(sys.stdin, range(3)):"
    )
    path.write_text(code + "sys.exit(9)\n")
    found = in_turns(request(), f"{sys.executable} {path}", lambda: None)
    assert len(found.rounds) == 2
    assert found.failure.startswith("its process ended with 9")
    assert (found.setup_s, found.ratio is not None) == (0.1, True)


def test_one_that_takes_too_long_is_ended_at_once(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(
        "import sys, time\nprint('compiling', file=sys.stderr, flush=True)\ntime.sleep(600)\n"
    )
    begin = time.monotonic()
    found = in_turns(request(), f"{sys.executable} {tmp_path / 'child.py'}", lambda: None, patience_s=0.5)
    assert found.failure == "no answer within 0.5 s; its last words: compiling"
    assert time.monotonic() - begin < 15, "it was killed, not waited for"


def test_an_end_is_seen_while_others_hold_its_output_open(tmp_path: Path) -> None:
    """As a compiler's own processes do that outlive the one that started them."""
    holder = "import time; time.sleep(8)"
    code = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {holder!r}])\nsys.exit(5)\n"
    (tmp_path / "child.py").write_text(code)
    begin = time.monotonic()
    found = in_turns(request(), f"{sys.executable} {tmp_path / 'child.py'}", lambda: None)
    assert found.failure == "its process ended with 5 and said nothing"
    assert time.monotonic() - begin < 7


def test_its_standard_error_is_kept(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as log:
        in_turns(request(), child(tmp_path), lambda: None, rounds=1, log=log)
    assert (tmp_path / "log").read_text() == "what a library prints\n"


def test_the_process_ends_with_the_block(tmp_path: Path) -> None:
    with BaselineProcess(request(), child(tmp_path)) as process:
        assert process.steps(2) == [8.0, 8.0]
    assert process._process.returncode == 0


def test_which_baselines() -> None:
    assert chosen(("all",), "onnxruntime") == tuple(name for name in NAMES if name != "onnxruntime")
    assert chosen(("torch-compile", "torch-eager", "torch-compile"), "tensorrt") == ("torch-eager", "torch-compile")
    assert chosen((), "tensorrt") == ()
    with pytest.raises(InputError, match="there is no baseline 'jax'"):
        chosen(("jax",), "tensorrt")
    with pytest.raises(InputError, match="is what is measured"):
        chosen(("onnxruntime",), "onnxruntime")


@pytest.mark.parametrize("name", [pytest.param("torch-eager", marks=pytest.mark.slow), "onnxruntime"])
def test_a_real_one_does_the_same_work(small_bundle: Path, name: str) -> None:
    told = request(name=name, bundle=str(small_bundle), threads=1)
    with Pipeline.load(small_bundle, threads=1) as pipeline:
        scene = sources(pipeline.preset)[0].load()
        fill(pipeline, scene)
        found = in_turns(told, None, pipeline.chain.run, rounds=2)
        ours = {name: rms(array) for name, array in whole_results(pipeline, scene).items()}
    assert found.failure == ""
    assert found.ratio is not None
    assert found.ratio[0] > 0
    assert found.doubt(ours) == ""


def test_a_bundle_that_is_none_is_a_failure_in_words(tmp_path: Path) -> None:
    found = in_turns(request(name="onnxruntime", bundle=str(tmp_path / "none")), None, lambda: None)
    assert "there is no such folder" in found.failure
