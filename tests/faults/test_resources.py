"""Too little memory, other processes, forks, threads, a pipeline that is closed: a documented error each, and a retry that works."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.nursery import Ended, Nursery
from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline

ABORTED = "memory allocation of", "std::bad_alloc"
"""The last words of native libraries that end the process where the system refuses them memory: pydantic's Rust, ONNX Runtime's C++."""
LITTLE_MEMORY_S = 120
"""To see a hang: a thread that there is no memory to begin is waited for 10 s (`videoscene_rt.threads`), whatever else runs beside it."""


def ended_by_a_library(ended: Ended) -> bool:
    """Whether a native library ended the process: aborted with words of its own, or, now and then with 4 MiB, ONNX Runtime
    1.32 read where nothing is while it made a session. The innermost Python frame is its own then."""
    innermost = next((line for line in ended.err.splitlines() if line.startswith('  File "')), "")
    fell = ended.code == -signal.SIGSEGV and "/onnxruntime/capi/" in innermost
    return fell or (ended.code == -signal.SIGABRT and any(words in ended.err for words in ABORTED))


@pytest.mark.parametrize(
    "memory", [6, 512, *(pytest.param(m, marks=pytest.mark.slow) for m in (2, 3, 4, 5, *range(7, 65)))]
)
def test_loading_and_stepping_with_little_memory(
    nursery: Nursery, small_bundle: Path, scene_folder: Path, memory: int
) -> None:
    """The system refuses memory at some point of loading or of the first step: a documented error, or a native library's abort."""
    arguments = {"bundle": str(small_bundle), "scene": str(scene_folder)}
    ended = nursery.call("tests.faults.children:load", dict(arguments), memory_mib=memory, timeout_s=LITTLE_MEMORY_S)
    said = (
        "error: " in ended.err and "Traceback" not in ended.err
    )  # beside what ONNX Runtime logs, half a line of it at times
    assert ended.code == 0 or (ended.code == 3 and said) or ended_by_a_library(ended), (ended.code, ended.err)
    assert ended.code == 0 or memory < 512
    assert nursery.call("tests.faults.children:load", dict(arguments)).code == 0


def test_any_allocation_session_or_run_that_fails(nursery: Nursery, small_bundle: Path, scene_folder: Path) -> None:
    arguments = {"bundle": str(small_bundle), "scene": str(scene_folder), "most": 12}
    ended = nursery.call("tests.faults.allocations:first_allocations", arguments)
    assert ended.code == 0, ended.err


def test_a_fork_after_loading(small_bundle: Path, scene_folder: Path) -> None:
    """In an interpreter of its own, whose child ends the way that runs every destructor."""
    told = f"bundle={str(small_bundle)!r}, scene={str(scene_folder)!r}"
    code = f"from tests.faults.children import fork_after_load; fork_after_load(dict({told}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=90)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("threads", "seconds"), [(24, 1.5), pytest.param(200, 60.0, marks=pytest.mark.slow)])
def test_a_storm_of_threads(
    nursery: Nursery, small_bundle: Path, scene_folder: Path, threads: int, seconds: float
) -> None:
    arguments = {"bundle": str(small_bundle), "scene": str(scene_folder), "threads": threads, "seconds": seconds}
    ended = nursery.call("tests.faults.children:storm", arguments, timeout_s=seconds + 100, memory_mib=8192)
    assert ended.code == 0, ended.err


def test_a_closed_pipeline_refuses_every_use_and_another_one_works(small_bundle: Path) -> None:
    given = scene()
    pipeline = Pipeline.load(small_bundle, threads=1)
    frames = pipeline.step(given, seed=0).copy().frames
    handle = pipeline.submit(given)
    pipeline.close()
    for use in (
        lambda: pipeline.step(given),
        lambda: pipeline.submit(given),
        lambda: pipeline.tensor("z_0"),
        lambda: pipeline.bind("xyz", None),
        pipeline.timeline,
        lambda: pipeline.chain,
        lambda: pipeline.memory,
        lambda: pipeline.schedule,
        lambda: pipeline.captured,
        lambda: handle.result().frames,
    ):
        with pytest.raises(InputError, match="closed"):
            use()
    handle.release()
    pipeline.close()
    with Pipeline.load(small_bundle, threads=1) as again:
        assert (again.step(given, seed=0).frames == frames).all()


def _together(*calls: object) -> None:
    threads = [threading.Thread(target=call) for call in calls]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_two_processes_build_and_run_one_bundle(small_bundle: Path, scene_folder: Path, tmp_path: Path) -> None:
    """Two builds at once: one waits, both end well. A run beside a build that replaces engines: right, or refused in a line."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "b.bundle"))
    ends: dict[str, list[Ended]] = {"build": [], "run": [], "force": []}
    build = ("build", bundle, "--precision", "fp16", "--threads", 1)
    with Nursery() as one, Nursery() as two:
        _together(lambda: ends["build"].append(one.vsrt(*build)), lambda: ends["build"].append(two.vsrt(*build)))
        assert [end.code for end in ends["build"]] == [0, 0], [end.err for end in ends["build"]]
        done = threading.Event()

        def force() -> None:
            ends["force"].append(one.vsrt(*build, "--force"))
            done.set()

        def load() -> None:
            told = {"bundle": str(bundle), "precision": "fp16", "scene": str(scene_folder)}
            while not done.is_set():
                ends["run"].append(two.call("tests.faults.children:load", dict(told)))

        _together(force, load)
        assert ends["force"][0].code == 0, ends["force"][0].err
        wrong = [(end.code, end.err) for end in ends["run"] if end.code != 0 and not end.refused]
        assert not wrong, wrong[0]
        assert any(end.code == 0 for end in ends["run"])
        told = {"bundle": str(bundle), "precision": "fp16", "scene": str(scene_folder)}
        assert [nursery.call("tests.faults.children:load", dict(told)).code for nursery in (one, two)] == [0, 0]
