"""The timing cache: merged, never overwritten by a build that read it earlier, and no matter what is in the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from videoscene_rt.engines.tensorrt.timing_cache import load_timings, save_timings

OTHER = "another CUDA's"
"""A timing that no builder takes."""


class Cache:
    """An ITimingCache: timings by tactic, as JSON."""

    def __init__(self, timings: dict[str, float]) -> None:
        self.timings = timings

    def serialize(self) -> bytes:
        return json.dumps(self.timings).encode()

    def combine(self, other: Cache, ignore_mismatch: bool) -> bool:
        if OTHER in self.timings:
            return False
        self.timings |= other.timings
        return True


class Config:
    """An IBuilderConfig: what it can of a timing cache."""

    cache: Cache

    def create_timing_cache(self, data: bytes) -> Cache | None:
        try:
            return Cache(json.loads(data) if data else {})
        except ValueError:
            return None

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if OTHER in cache.timings:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self.cache


def test_two_builds_side_by_side_keep_each_others_timings(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "timings"
    one, two = Config(), Config()
    assert load_timings(one, path) == load_timings(two, path) == ""
    one.cache.timings["a"] = 1.0
    two.cache.timings["b"] = 2.0
    save_timings(one, path)
    save_timings(two, path)
    assert json.loads(path.read_bytes()) == {"a": 1.0, "b": 2.0}
    third = Config()
    load_timings(third, path)
    assert third.cache.timings == {"a": 1.0, "b": 2.0}
    assert {entry.name for entry in path.parent.iterdir()} <= {"timings", "timings.lock"}


def test_a_file_that_is_no_cache_is_told_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "timings"
    path.write_bytes(b"\x00garbage")
    config = Config()
    assert "timings is not usable" in load_timings(config, path)
    config.cache.timings["a"] = 1.0
    save_timings(config, path)
    assert json.loads(path.read_bytes()) == {"a": 1.0}


def test_timings_that_the_builder_does_not_take_are_told_and_replaced(tmp_path: Path) -> None:
    """It answers False, and without a cache of its own it would never keep one again."""
    path = tmp_path / "timings"
    path.write_text(json.dumps({OTHER: 1.0}))
    config = Config()
    assert "timings is not usable" in load_timings(config, path)
    config.cache.timings["a"] = 1.0
    save_timings(config, path)
    assert json.loads(path.read_bytes()) == {"a": 1.0}
    assert load_timings(Config(), path) == ""


def test_timings_that_cannot_be_read_do_not_end_the_build(tmp_path: Path) -> None:
    path = tmp_path / "timings"
    path.mkdir()
    config = Config()
    assert "timings cannot be read: Is a directory" in load_timings(config, path)
    assert config.cache.timings == {}
