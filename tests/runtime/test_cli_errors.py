"""The way out of every command: exit codes, and what is said on standard error."""

from __future__ import annotations

import errno
import importlib
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from videoscene_rt.cli import doctor
from videoscene_rt.cli.exit_codes import outcome
from videoscene_rt.cli.main import COMMANDS, main
from videoscene_rt.engines.errors import BackendError, InputError


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs `vsrt doctor` with a body of the test's own: (exit code, standard output, lines of standard error)."""

    def run(body, *arguments: str) -> tuple[int, str, list[str]]:
        def command(words: list[str] = typer.Argument(default=[])) -> int | None:  # noqa: B008
            return body()

        monkeypatch.setattr(doctor, "doctor", command)
        code = main(["doctor", *arguments])
        written = capsys.readouterr()
        return code, written.out, written.err.splitlines()

    return run


def raising(error: BaseException):
    def body() -> None:
        raise error

    return body


def test_done_is_0_and_silent(run) -> None:
    assert run(lambda: None) == (0, "", [])
    assert run(lambda: 3) == (3, "", [])


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (BackendError, 3)])
def test_our_errors_are_two_lines(run, kind: type[Exception], code: int) -> None:
    said = ['error: scene.json: no key "images"', "  → add it"]
    assert run(raising(kind('scene.json: no key "images"', "add it"))) == (code, "", said)
    assert run(raising(kind("no remedy"))) == (code, "", ["error: no remedy"])


def test_user_text_is_shown_as_it_is_and_cannot_steer_the_terminal(run) -> None:
    error = InputError("/data/[red]a[/red]/[link=x]é.png\n  is\r\x1b[2Jnot an image", "look at it\nagain")
    assert run(raising(error))[2] == [
        "error: /data/[red]a[/red]/[link=x]é.png is \\x1b[2Jnot an image",
        "  → look at it again",
    ]


@given(problem=st.text(), remedy=st.none() | st.text())
def test_any_error_is_at_most_two_lines(problem: str, remedy: str | None) -> None:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "doctor", raising(InputError(problem, remedy)))
        patch.setattr(sys.stderr, "write", said.append)
        assert main(["doctor"]) == 2
    text = "".join(said)
    assert text.count("\n") == len(text.splitlines()) <= 2


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["docter"], "No such command 'docter'", "vsrt --help"),
        (["doctor", "--jsn"], "No such option", "vsrt doctor --help"),
        (["doctor", "more[b]"], "more[b]", "vsrt doctor --help"),
        (["--nope"], "No such option", "vsrt --help"),
    ],
)
def test_a_wrong_command_line_is_2(
    arguments: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    written = capsys.readouterr()
    problem, remedy = written.err.splitlines()
    assert written.out == ""
    assert problem.startswith("error: ")
    assert message in problem
    assert remedy == f"  → {hint}"


def test_wrong_values_and_missing_ones_are_2_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(bundle: Path, seed: int = typer.Option(0)) -> None:
        """Take a bundle and a seed."""

    monkeypatch.setattr(doctor, "doctor", command)
    for arguments, word in (["doctor"], "bundle"), (["doctor", "x", "--seed", "one"], "--seed"):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert word in said.lower()
        assert len(said.splitlines()) == 2
        assert "Traceback" not in said


def test_an_interrupt_is_130_and_short(run) -> None:
    assert run(raising(KeyboardInterrupt())) == (130, "", ["error: interrupted"])


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("x"), AssertionError(), FileNotFoundError("no name")])
def test_a_defect_is_1_with_a_traceback_and_where_to_report_it(run, error: Exception) -> None:
    code, out, said = run(raising(error))
    assert (code, out) == (1, "")
    assert said[0].startswith("Traceback")
    assert type(error).__name__ in "\n".join(said[:-2])
    assert "defect of videoscene-rt" in said[-2]
    assert "vsrt doctor --json" in said[-1]


def test_a_full_disk_is_3(run) -> None:
    def fill() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    code, _, said = run(fill)
    assert code == 3
    assert said[0].startswith("error: ")
    assert "No space left" in said[0]
    assert len(said) == 2


def test_too_little_memory_is_3(run) -> None:
    import numpy as np

    code, _, said = run(lambda: np.zeros((1 << 30, 1 << 29)))
    assert code == 3
    assert said[0].startswith("error: out of memory")


def test_a_forbidden_path_is_2(run) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "/root/[x].png")
    assert run(raising(error))[::2] == (
        2,
        ["error: /root/[x].png: Permission denied", "  → name a path that this user may use"],
    )


def test_a_missing_file_is_the_users_where_the_command_line_names_it(run, tmp_path: Path) -> None:
    folder = tmp_path / "scene"

    def read() -> None:
        (folder / "a.png").read_bytes()

    for argument in (str(folder), f"{folder}/", str(folder / "a.png"), os.path.relpath(folder)):
        code, _, said = run(read, argument)
        assert (code, said) == (2, [f"error: {folder / 'a.png'}: No such file or directory"])
    assert run(read, str(tmp_path / "sce"))[0] == 1
    assert run(read)[0] == 1


def test_option_with_equals_names_a_path() -> None:
    error = IsADirectoryError(errno.EISDIR, "Is a directory", "/data/out/x")
    assert outcome(error, ["--out=/data/out"]) is not None
    assert outcome(error, ["--out=/data/ou"]) is None


def test_exits_keep_their_code(run) -> None:
    assert run(raising(SystemExit(3)))[0] == 3
    assert run(raising(SystemExit(None)))[0] == 0
    assert run(raising(typer.Exit(2)))[0] == 2


def test_version_and_help_are_0_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("videoscene-rt ")
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        written = capsys.readouterr()
        assert written.err == ""
        for name, line in COMMANDS.items():
            assert f"{name} " in written.out
            assert line[:30] in written.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_described_by_its_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = getattr(importlib.import_module(f"videoscene_rt.cli.{name}"), name)
    assert inspect.getdoc(command).splitlines()[0] == COMMANDS[name]
    assert main([name, "--help"]) == 0
    assert f"Usage: vsrt {name}" in capsys.readouterr().out


_PROBE = "import sys; from videoscene_rt.cli.main import main; code = main(sys.argv[1:]); "


def test_help_loads_nothing_heavy() -> None:
    look = "print([m for m in ('torch', 'onnx', 'onnxruntime', 'diffusers', 'av', 'PIL') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", _PROBE + look, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_ascii_terminal_gets_escapes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE + "sys.exit(code)", "doctor"],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 3)
    assert "Traceback" not in done.stderr
    assert "onnxruntime-cuda" in done.stdout


def test_a_reader_that_leaves_is_141_and_silent() -> None:
    for arguments in (["doctor"], ["doctor", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-c", _PROBE + "sys.exit(code)", *arguments],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
        os.close(write)
        assert (done.returncode, done.stderr) == (141, "")
