"""``make audit``: whether anything that is installed has a known vulnerability. It asks an advisory service over the network.

Exit codes: 0 nothing is known against anything; 1 something is; 3 it could not be found out, which is not the same as 0, and says so.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
OURS = "videoscene-rt"
_TOOL = "pip-audit>=2.7,<3"


def main() -> int:
    """Audit this interpreter's packages with pip-audit, which lives in an environment of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit")
    parser.add_argument("--environment", type=Path, default=Path(".venv-audit"), help="where pip-audit is, or is put")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for the whole question")
    told = parser.parse_args()
    tool = told.environment / "bin" / "pip-audit"
    try:
        if not tool.exists():
            _install(told.environment)
        report = _ask(tool, told.timeout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return _unknown(error)
    return judge(report)


def judge(report: dict[str, Any]) -> int:
    """Print what the report says, and give the exit code."""
    packages = [each for each in report["dependencies"] if each["name"] != OURS]
    asked = [each for each in packages if "skip_reason" not in each]
    bad = [(each, vulnerability) for each in asked for vulnerability in each["vulns"]]
    for each, vulnerability in bad:
        fixes = ", ".join(vulnerability.get("fix_versions") or ()) or "no version yet"
        _say(f"{each['name']} {each['version']}: {vulnerability['id']}, mended in {fixes}")
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if skipped:
        _say(f"not audited, since the service does not know them: {', '.join(skipped)}")
    _say(f"{len(asked)} packages audited, {len(bad)} known vulnerabilities")
    if bad:
        return VULNERABLE
    unseen = sorted(needed() & set(skipped))
    if unseen or not asked:
        return _unknown(
            ValueError(f"of what every user has, the service knows nothing of {', '.join(unseen) or 'anything'}")
        )
    return CLEAN


def needed() -> set[str]:
    """What videoscene-rt brings with it, without extras."""
    requires = [line for line in metadata.requires(OURS) or () if "extra ==" not in line]
    return {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() for line in requires}


def _install(environment: Path) -> None:
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(environment / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", _TOOL],
    ):
        _run(command, 600.0)


def _ask(tool: Path, timeout: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        packages = sysconfig.get_path("purelib")
        command = [str(tool), "--path", packages, "--format", "json", "--output", str(out), "--progress-spinner", "off"]
        done = _run(
            command, timeout, check=False
        )  # it ends with 1 where it found something, and where it could not ask
        if not out.exists() or not out.stat().st_size:
            raise ValueError(_last_line(done) or f"pip-audit ended with {done.returncode} and no report")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def _run(command: list[str], timeout: float, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise ValueError(f"{Path(command[0]).name}: {_last_line(done)}")
    return done


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def _unknown(error: Exception) -> int:
    _say(f"NOT AUDITED: {' '.join(str(error).split())[:300]}")
    _say("  → this needs the network: run `make audit` where the advisory service can be reached")
    return UNKNOWN


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
