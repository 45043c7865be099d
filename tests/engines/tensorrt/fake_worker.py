"""A builder's process that does what a test wants: fake_worker.py MODE FOLDER JOB EVENTS_FD."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

mode, folder, job_path, events_fd = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
job = json.loads(job_path.read_text())
events = os.fdopen(events_fd, "w", encoding="utf-8")
runs = folder / "runs"
with runs.open("a") as file:
    file.write(json.dumps({key: job[key] for key in ("tactic_sources", "level", "timing_cache")}) + "\n")
first = len(runs.read_text().splitlines()) == 1


def send(kind: str, value: object) -> None:
    events.write(json.dumps({kind: value}) + "\n")
    events.flush()


def build() -> None:
    send("progress", ["building", 0.5])
    send("message", ["WARNING", "a warning of the builder's"])
    Path(job["out"]).write_bytes(b"a plan")
    send("result", {"version": "8.6.1", "bytes": 6})


if mode == "builds" or (mode in ("dies once", "fault once") and not first):
    build()
elif mode in ("dies once", "dies"):
    Path(job["out"]).write_bytes(b"half a pl")
    Path("left in the working folder").write_text("x")
    send("message", ["ERROR", "[defs.cpp::evaluate::42] Error Code 1: Cuda Runtime (something)"])
    os.kill(os.getpid(), signal.SIGSEGV)
elif mode == "fault once":
    send(
        "message",
        ["ERROR", "1: [convRunner.cpp] Error Code 1: Cuda Runtime (an illegal memory access was encountered)"],
    )
    send(
        "error",
        {"problem": "tensorrt 8.6.1: its builder fails: an illegal memory access was encountered", "remedy": None},
    )
    sys.exit(3)
elif mode == "refuses":
    send("message", ["ERROR", "no importer registered for op: Frobnicate"])
    send(
        "error",
        {"problem": "tensorrt 8.6.1: its parser refuses it: no importer for Frobnicate", "remedy": "do without"},
    )
    sys.exit(3)
elif mode == "refuses without help":
    send("error", {"problem": "tensorrt 8.6.1: its builder fails: no tactics", "remedy": None})
    sys.exit(3)
elif mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "terminated":
    os.kill(os.getpid(), signal.SIGTERM)
elif mode == "garbage":
    os.write(
        events_fd,
        b'\x00\xff\xfe not json\n[1, 2]\n{}\n{"progress": 7}\n{"progress": ["p", "x"]}\n{"a": 1, "b": 2}\nnull\n',
    )
    print("terminate called without an active exception")
    sys.exit(5)
elif mode == "garbage, then builds":
    os.write(events_fd, b'\x00\xff garbage \n{"message": "no pair"}\n\n\n')
    build()
elif mode == "claims":
    send("result", {"version": "8.6.1"})
elif mode == "hangs":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "processes").write_text(f"{os.getpid()} {child.pid}")
    Path(job["out"]).write_bytes(b"half a pl")
    send("progress", ["building", 0.1])
    time.sleep(600)
else:
    raise SystemExit(f"no mode {mode!r}")
