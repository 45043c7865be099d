"""The GPU tests in this interpreter: ``python -m videoscene_rt.bench.h100.gputests CHECKOUT BUNDLE OUT.json [pytest's arguments]``.

Standard library only. The record says of every test whether it passed, and of a skipped one why.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DEFAULT = ("tests/gpu", "-m", "gpu")
_OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


def main(argv: Sequence[str]) -> int:
    """Run pytest and write the record.

    Returns:
        pytest's exit code; 3 where it ran no test at all.
    """
    source, bundle, out, *arguments = argv
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [
            sys.executable, "-m", "pytest", *(arguments or DEFAULT), "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=source, env={**os.environ, "VSRT_BUNDLE": bundle}, check=False)
        tests = read_report(report) if report.is_file() else []
    counts = {word: sum(test["outcome"] == word for test in tests) for word in ("passed", "failed", "error", "skipped")}
    record = {
        "python": platform.python_version(),
        "arguments": list(arguments or DEFAULT),
        "exit_code": done.returncode,
        "counts": counts,
        "tests": tests,
    }
    Path(out).write_text(json.dumps(record, indent=1, ensure_ascii=False))
    return 3 if done.returncode == 5 or not tests else done.returncode


def read_report(path: Path) -> list[dict[str, Any]]:
    """Every test of a JUnit file: name, outcome, seconds, and the first line of what it said."""
    return [_test(case) for case in ElementTree.parse(path).iter("testcase")]


def _test(case: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, Any] = {
        "test": f"{case.get('classname')}::{case.get('name')}",
        "outcome": "passed",
        "seconds": float(case.get("time", "0")),
    }
    for child in case:
        if child.tag in _OUTCOMES:
            words = (child.get("message") or "").strip().splitlines()
            found |= {"outcome": _OUTCOMES[child.tag], "said": words[0] if words else ""}
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
