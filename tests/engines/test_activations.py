"""Records of activations: what is saved is what is loaded, and what is no record is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from videoscene_rt.engines.activations import (
    Activations,
    GraphActivations,
    Sample,
    load_activations,
    save_activations,
)
from videoscene_rt.engines.errors import InputError


def _record() -> Activations:
    def sample(scene: str, number: int) -> Sample:
        inputs = {"x": np.full((2, 3), number, np.float32), "x2": np.array([number], np.int32)}
        return Sample(scene, inputs, {"y": np.full((1, 2), number, np.uint8)})

    first = GraphActivations("first", (sample("room", 1), sample("room", 2), sample("yard", 3)))
    return Activations({"first": first, "second": GraphActivations("second", ())}, "ab" * 32, ("room", "yard"))


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    saved = _record()
    save_activations(saved, tmp_path / "record.npz")
    loaded = load_activations(tmp_path / "record.npz")

    assert (loaded.digest, loaded.scenes, list(loaded.graphs)) == (saved.digest, saved.scenes, ["first", "second"])
    for before, after in zip(saved.graph("first").samples, loaded.graph("first").samples, strict=True):
        assert before.scene == after.scene
        for kind in ("inputs", "outputs"):
            arrays, read = getattr(before, kind), getattr(after, kind)
            assert list(arrays) == list(read)
            for name, array in arrays.items():
                assert read[name].dtype == array.dtype
                np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 truncated"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"record\.npz"):
        load_activations(tmp_path / "record.npz")


def test_an_archive_without_a_header_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "record.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="no"):
        load_activations(tmp_path / "record.npz")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        load_activations(tmp_path / "none.npz")


@pytest.mark.parametrize("name", ["second", "third"])
def test_a_graph_that_was_never_called_has_no_activations(name: str) -> None:
    with pytest.raises(InputError, match=name):
        _record().graph(name)
