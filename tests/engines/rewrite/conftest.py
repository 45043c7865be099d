"""The small bundle, and what its graphs read and wrote in three rooms: recorded once for all the rewrites of its student."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.activations import record_rooms
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle


@pytest.fixture(scope="package")
def bundle(small_bundle: Path) -> Bundle:
    return Bundle.open(small_bundle)


@pytest.fixture(scope="package")
def activations(bundle: Bundle) -> Activations:
    return record_rooms(bundle.folder)
