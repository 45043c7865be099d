"""Errors as they are documented."""

from __future__ import annotations

from videoscene_rt import BackendError, InputError


def check_documented(error: InputError | BackendError, exit_code: int = 3, words: str = "") -> None:
    """One line, the exit code, and what it must speak of."""
    assert "\n" not in error.problem, error.problem
    assert error.exit_code == exit_code, error
    assert words in error.problem, error.problem
