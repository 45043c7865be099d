"""The audit of what is installed: what it makes of a report, and that a question without an answer is never a clean bill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audit import CLEAN, UNKNOWN, VULNERABLE, judge, needed

_CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
_BAD = {
    "name": "pillow",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}, {"id": "PYSEC-2", "fix_versions": []}],
}
_SKIPPED = {"name": "torch", "skip_reason": "a local version"}
_OURS = {"name": "videoscene-rt", "skip_reason": "not published"}


def test_a_clean_report_is_0_and_says_what_it_did_not_see(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge({"dependencies": [_CLEAN, _SKIPPED, _OURS]}) == CLEAN
    said = capsys.readouterr().out
    assert said.splitlines() == [
        "not audited, since the service does not know them: torch",
        "1 packages audited, 0 known vulnerabilities",
    ]


def test_what_is_known_is_named_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge({"dependencies": [_CLEAN, _BAD]}) == VULNERABLE
    said = capsys.readouterr().out
    assert "pillow 1.0: PYSEC-1, mended in 2.0" in said
    assert "PYSEC-2, mended in no version yet" in said


def test_what_every_user_has_must_have_been_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"numpy", "pydantic", "pillow", "av"} <= needed()
    report = {"dependencies": [_CLEAN, {"name": "pillow", "skip_reason": "not found"}]}
    assert judge(report) == UNKNOWN
    assert "NOT AUDITED: of what every user has, the service knows nothing of pillow" in capsys.readouterr().out


def test_a_report_of_nothing_is_not_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge({"dependencies": [_SKIPPED]}) == UNKNOWN
    assert "NOT AUDITED" in capsys.readouterr().out


def _tool(folder: Path, body: str) -> Path:
    path = folder / "bin" / "pip-audit"
    path.parent.mkdir()
    path.write_text(f"#!{sys.executable}\nimport sys\nout = sys.argv[sys.argv.index('--output') + 1]\n{body}\n")
    path.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (f"open(out, 'w').write('''{json.dumps({'dependencies': [_CLEAN]})}''')", CLEAN, "1 packages audited"),
        (f"open(out, 'w').write('''{json.dumps({'dependencies': [_BAD]})}'''); sys.exit(1)", VULNERABLE, "PYSEC-1"),
        ("sys.exit('ConnectionError: the service cannot be reached')", UNKNOWN, "NOT AUDITED: ConnectionError"),
        ("open(out, 'w').write('{')", UNKNOWN, "NOT AUDITED"),
        ("import time; time.sleep(60)", UNKNOWN, "NOT AUDITED"),
    ],
)
def test_the_tool_is_asked_and_its_silence_is_told(tmp_path: Path, body: str, code: int, words: str) -> None:
    environment = _tool(tmp_path, body)
    command = [sys.executable, "-m", "tests.audit", "--environment", str(environment), "--timeout", "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, "")
    assert words in done.stdout
