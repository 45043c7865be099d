"""What is fuzzed, and what must hold of each answer.

A target takes bytes. It returns whether they were accepted; a refusal must be the documented error in one short line. Where bytes are
accepted, the answer is compared with an independent reader's, or with itself after it was written and read again.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.fuzz.mutations import archives, arrays_in_files, mutated, mutated_json
from videoscene_rt.chain.arena import plan_arena
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.schedule import schedule
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.manifest import parse_manifest
from videoscene_rt.engines.store.identity import EngineIdentity
from videoscene_rt.engines.store.private_files import read_model
from videoscene_rt.engines.store.records import EngineRecord, Selected
from videoscene_rt.scenes.npz import read_npz
from videoscene_rt.scenes.ply import read_ply, write_ply
from videoscene_rt.scenes.scene_file import parse_scene_file

CORPUS = Path(__file__).parent.parent / "corpus"
LONGEST = 1000
"""Characters of a message: it quotes what is wrong, not the file."""

_SCRATCH = Path(tempfile.mkdtemp(prefix="fuzz-"))


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        name: also of its seeds' folder in the corpus.
        read: returns whether the bytes were accepted; AssertionError where an answer is wrong.
        cases: from the seeds to a strategy of bytes.
    """

    name: str
    read: Callable[[bytes], bool]
    cases: Callable[[tuple[bytes, ...]], st.SearchStrategy[bytes]]

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """The corpus."""
        return tuple(path.read_bytes() for path in sorted((CORPUS / self.name).iterdir()))


def refuses(read: Callable[[], Any], kind: type[InputError] | type[BackendError] = InputError) -> Any | None:
    """What a reader gives; None where it refuses in one short line of that kind."""
    try:
        return read()
    except kind as error:
        refusal = error
    assert "\n" not in refusal.problem, "a refusal of more than one line"
    assert 0 < len(refusal.problem) <= LONGEST, f"a refusal of {len(refusal.problem)} characters"
    assert refusal.remedy is None or "\n" not in refusal.remedy
    return None


def _file(data: bytes, name: str) -> Path:
    path = _SCRATCH / name
    path.write_bytes(data)
    path.chmod(0o600)
    return path


def _manifest(data: bytes) -> bool:
    manifest = refuses(lambda: parse_manifest(data, "manifest.json"))
    if manifest is None:
        return False
    text = manifest.model_dump_json()
    if "NaN" not in text and "Infinity" not in text and "null" not in text:
        assert parse_manifest(text, "again") == manifest
    for name in manifest.files:
        assert (Path("/bundle") / name).resolve().is_relative_to("/bundle"), f"{name!r} leads out of the bundle"
    plan = refuses(lambda: plan_chain(manifest))
    if plan is not None:
        refuses(lambda: plan_arena(plan, schedule(plan), {}, 2).words())
    return True


def _scene(data: bytes) -> bool:
    found = refuses(lambda: parse_scene_file(data))
    if found is None:
        return False
    assert np.isfinite(np.array(found.world_to_camera)).all()
    assert parse_scene_file(found.model_dump_json().encode()) == found
    return True


def _ply(data: bytes) -> bool:
    found = refuses(lambda: read_ply(_file(data, "points.ply")))
    if found is None:
        return False
    xyz, rgb = found
    assert (xyz.dtype, rgb.dtype, xyz.shape, rgb.shape) == (np.float32, np.uint8, (len(xyz), 3), (len(xyz), 3))
    write_ply(_SCRATCH / "again.ply", xyz, rgb)
    again = read_ply(_SCRATCH / "again.ply")
    assert np.array_equal(again[0].view(np.uint32), xyz.view(np.uint32))
    assert np.array_equal(again[1], rgb)
    return True


def _npz(data: bytes) -> bool:
    found = refuses(lambda: read_npz(_file(data, "points.npz")))
    if found is None:
        return False
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays, np.errstate(over="ignore"):
        assert np.array_equal(found[0], arrays["xyz.npy"].astype(np.float32), equal_nan=True)
        assert np.array_equal(found[1], arrays["rgb.npy"])
    return True


_SMALL: Any = json.loads((CORPUS / "manifest" / "small.json").read_bytes())


def _prompt(data: bytes) -> bool:
    path = _file(data, _SMALL["prompt_file"])
    bundle = Bundle(path.parent, parse_manifest(json.dumps(_SMALL), "manifest.json"))
    found = refuses(bundle.prompt)
    if found is None:
        return False
    assert np.array_equal(found, np.load(io.BytesIO(data), allow_pickle=False))
    return True


def _record(data: bytes) -> bool:
    """The three documents of the store, told apart by nothing: each reader gets each."""
    path = _file(data, "record.json")
    return any(
        refuses(lambda m=model: read_model(path, m), BackendError) is not None
        for model in (EngineRecord, EngineIdentity, Selected)
    )  # type: ignore[misc]


TARGETS = (
    Target("manifest", _manifest, lambda seeds: mutated_json(seeds) | mutated_json(seeds) | mutated(seeds)),
    Target("scene", _scene, lambda seeds: mutated_json(seeds) | mutated_json(seeds) | mutated(seeds)),
    Target("ply", _ply, lambda seeds: mutated(seeds, "ply")),
    Target("npz", _npz, lambda seeds: mutated(seeds, "npz") | archives()),
    Target("npy", _prompt, lambda seeds: mutated(seeds, "npy") | arrays_in_files()),
    Target("record", _record, lambda seeds: mutated_json(seeds) | mutated(seeds)),
)
