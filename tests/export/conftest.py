"""What the tests of the export share: torch's table of translations, which each of its exports would make anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from videoscene_rt.export.translations import remembered_translations


@pytest.fixture(autouse=True, scope="session")
def _translations() -> Iterator[None]:
    """Tests that call torch.onnx.export themselves have it too; what is translated, and to what, is torch's own."""
    with remembered_translations():
        yield
