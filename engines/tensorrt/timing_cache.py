"""The timing cache: how long each tactic took, kept in a file between builds and shared by builds that run side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videoscene_rt.engines.tensorrt.files import write_whole


def load_timings(config: Any, path: Path) -> str:
    """Give a builder configuration the timings of a file; a missing or unusable one is an empty one.

    Args:
        config: an IBuilderConfig.
        path: the file.

    Returns:
        A line about a file that is not used, or "".
    """
    problem = f"timing cache {path} is not usable and is written anew"
    try:
        with _locked(path):
            cache = _read(config, path)
    except OSError as error:
        cache, problem = None, f"timing cache {path} cannot be read: {error.strerror or error}"
    # It takes none that was made by another CUDA, or on another GPU, than it says.
    if cache is not None and config.set_timing_cache(cache, False):
        return ""
    config.set_timing_cache(config.create_timing_cache(b""), False)
    return problem


def save_timings(config: Any, path: Path) -> None:
    """Merge a configuration's timings into a file: another build may have written to it since it was read.

    Raises:
        OSError: it cannot be written.
    """
    mine = config.get_timing_cache()
    if mine is None:
        return
    with _locked(path):
        merged = _read(config, path)
        if merged is None or not merged.combine(mine, False):
            merged = mine
        write_whole(path, merged.serialize())


def _read(config: Any, path: Path) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    return config.create_timing_cache(data)


def _locked(path: Path) -> Any:
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))
