"""The small bundles, opened, and what their chains read and write over three rooms."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.activations import record_rooms
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle


@pytest.fixture(scope="session")
def bundle(small_bundle: Path) -> Bundle:
    """The preset `SMALL`: a student of two blocks, the tiny autoencoder. Read only."""
    return Bundle.open(small_bundle)


@pytest.fixture(scope="session")
def activations(small_bundle: Path) -> Activations:
    """Three rooms through the chain of `bundle`."""
    return record_rooms(small_bundle)


@pytest.fixture(scope="session")
def published(published_bundle: Path) -> Bundle:
    """The published autoencoder's graphs. Read only."""
    return Bundle.open(published_bundle)


@pytest.fixture(scope="session")
def published_activations(published_bundle: Path) -> Activations:
    """Three rooms through the chain of `published`."""
    return record_rooms(published_bundle)
