"""What several of the runtime's tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.slow_backend import GatedBackend


@pytest.fixture
def backend() -> Iterator[GatedBackend]:
    """A backend whose graphs can be held back; nothing stays held when the test has ended."""
    backend = GatedBackend()
    yield backend
    for gate in backend.gates.values():
        gate.open()
