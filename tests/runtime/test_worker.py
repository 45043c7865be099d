"""What becomes of the threads at work when the process ends without a word to them."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

WORKER = "import threading, time\nfrom videoscene_rt import worker\n"


def ended(program: str) -> subprocess.CompletedProcess[str]:
    """A program that came to its end in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


def test_what_is_under_way_comes_to_its_end_and_what_waits_does_not_begin() -> None:
    done = ended(
        WORKER + "import atexit\n"
        "def task(name, begun=threading.Event()):\n"
        "    begun.set()\n"
        "    time.sleep(0.3)\n"
        "    print(name, flush=True)\n"
        "begun = threading.Event()\n"
        "one = worker.Worker('one')\n"
        "one.submit(task, 'first', begun)\n"
        "second = one.submit(task, 'second')\n"
        "begun.wait()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "first\n", "")


def test_what_waits_or_comes_later_is_refused_in_words_and_hangs_nobody() -> None:
    done = ended(
        "import atexit\n"
        "def late():\n"
        "    print(*(future.exception(10) for future in (waiting, one.submit(print, 'later'))), sep='\\n')\n"
        "atexit.register(late)\n" + WORKER + "one = worker.Worker('one')\n"  # it runs after the worker's own
        "one.submit(time.sleep, 0.3)\n"
        "waiting = one.submit(print, 'waiting')\n"
    )
    refused = "the process is ending, no step begins any more\nclose the pipeline before it ends\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, 2 * refused, "")


def test_what_hangs_keeps_the_process_for_the_patience_alone() -> None:
    started = time.monotonic()
    done = ended(
        WORKER + "worker._PATIENCE_S = 0.2\nfor name in 'ab':\n    worker.Worker(name).submit(threading.Event().wait)\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - started < 10


def test_a_program_may_end_in_the_middle_of_a_step(small_bundle: Path) -> None:
    """Without a wait the thread comes back from ONNX Runtime when the interpreter has ended, and that is SIGABRT."""
    done = ended(
        "from videoscene_rt import Pipeline\nfrom videoscene_rt.scenes.room import procedural_room\n"
        f"pipeline = Pipeline.load({str(small_bundle)!r})\n"
        "height, width = pipeline.preset.height, pipeline.preset.width\n"
        "handles = [pipeline.submit(procedural_room(height, width, 1, 500)) for _ in range(2)]\n"
    )
    assert (done.returncode, done.stderr) == (0, "")
