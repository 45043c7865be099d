"""What the store gives back is what was put into it, whole, private and inside the bundle; anything else is refused in words."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.store.test_identity import identity
from videoscene_rt import BackendError
from videoscene_rt.engines.building.lock import build_lock
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.store.records import EngineRecord, Gated, Pair, Selected
from videoscene_rt.engines.store.store import EngineStore
from videoscene_rt.engines.store.stored_engine import StoredEngine

PLAN = bytes(range(256)) * 8
RECORD = EngineRecord(engine="engine.plan", files={}, gate=Gated(status="not run"))


def put(store: EngineStore, plan: bytes = PLAN, **changes: object) -> StoredEngine:
    with store.staging() as folder:
        (folder / "engine.plan").write_bytes(plan)
        (folder / "extra.data").write_bytes(b"weights")
        return store.put(folder, identity(**changes), RECORD)


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path)


def read_all(store: EngineStore, name: str) -> bytes:
    engine = store.open(name)
    engine.verify()
    return engine.read()


def refused(store: EngineStore, name: str) -> str:
    """Every way to the engine's bytes is closed; the words of the first."""
    assert store.find(identity()) is None
    with pytest.raises(BackendError) as caught:
        read_all(store, name)
    assert "\n" not in caught.value.problem
    assert caught.value.exit_code == 3
    return caught.value.problem


def test_what_was_put_is_found_whole_and_private(store: EngineStore) -> None:
    before = os.umask(0)  # nothing of it may depend on the user's umask
    try:
        engine = put(store)
    finally:
        os.umask(before)
    found = store.find(identity())
    assert found is not None
    assert (found.identity, found.record) == (identity(), engine.record)
    assert found.read() == PLAN
    assert set(found.record.files) == {"engine.plan", "extra.data", "identity.json"}
    assert store.names() == (identity().folder,)
    for path in (store.folder, *store.folder.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_another_identity_is_not_found(store: EngineStore) -> None:
    put(store)
    assert store.find(identity(level=5)) is None
    assert store.find(identity(attempt={"level": 1})) is not None


def test_a_folder_that_may_be_entered_by_others_is_closed(store: EngineStore) -> None:
    store.folder.mkdir(mode=0o755)
    store.prepare()
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_putting_replaces_and_leaves_nothing_else(store: EngineStore) -> None:
    put(store, b"old" * 30)
    put(store)
    assert store.open(identity().folder).read() == PLAN
    assert [path.name for path in store.folder.iterdir()] == [identity().folder]


def test_a_verdict_is_replaced_without_touching_the_engine(store: EngineStore) -> None:
    engine = put(store)
    store.rewrite(engine, engine.record.model_copy(update={"gate": Gated(status="accepted", device="cpu")}))
    found = store.find(identity())
    assert found is not None
    assert found.record.gate.status == "accepted"
    assert found.read() == PLAN


def edit(path: Path, change: Callable[[dict], object]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def rename_file(data: dict, name: str) -> None:
    data["files"][name] = data["files"].pop("engine.plan")
    data["engine"] = name


def link(path: Path, to: Path) -> None:
    path.rename(to)
    path.symlink_to(to)


DAMAGE: dict[str, tuple[Callable[[Path, Path], object], str]] = {
    "truncated": (lambda f, _: (f / "engine.plan").write_bytes(PLAN[:-1]), "has 2,047 bytes; the record says 2,048"),
    "longer": (lambda f, _: (f / "engine.plan").write_bytes(PLAN + b"\0"), "has 2,049 bytes"),
    "empty": (lambda f, _: (f / "engine.plan").write_bytes(b""), "has 0 bytes"),
    "altered": (lambda f, _: (f / "engine.plan").write_bytes(b"\1" + PLAN[1:]), "was altered: its SHA-256 is"),
    "missing": (lambda f, _: (f / "engine.plan").unlink(), "is missing"),
    "a folder instead": (lambda f, _: ((f / "engine.plan").unlink(), (f / "engine.plan").mkdir()), "not a plain file"),
    "a link": (lambda f, out: link(f / "engine.plan", out), "not a plain file inside the bundle"),
    "a fifo": (lambda f, _: ((f / "engine.plan").unlink(), os.mkfifo(f / "engine.plan")), "not a plain file"),
    "writable by others": (lambda f, _: (f / "engine.plan").chmod(0o666), "can be written by others"),
    "a folder writable by others": (lambda f, _: f.chmod(0o777), "can be written by others"),
    "the folder is a link": (link, "not a folder inside the bundle"),
    "weights altered": (lambda f, _: (f / "extra.data").write_bytes(b"WEIGHTS"), "was altered"),
    "weights missing": (lambda f, _: (f / "extra.data").unlink(), "is missing"),
    "no record": (lambda f, _: (f / "record.json").unlink(), "is missing"),
    "no identity": (lambda f, _: (f / "identity.json").unlink(), "is missing"),
    "a record that is no JSON": (lambda f, _: (f / "record.json").write_bytes(b"\x00plan"), "cannot be understood"),
    "a record without end": (lambda f, _: (f / "record.json").write_text("[" * 200_000), "cannot be understood"),
    "a newer record": (
        lambda f, _: edit(f / "record.json", lambda data: data.update(schema_version=2)),
        "cannot be understood: schema_version",
    ),
    "an engine that is not listed": (
        lambda f, _: edit(f / "record.json", lambda data: data.update(engine="other")),
        "does not name the engine's files",
    ),
    "a path upwards": (
        lambda f, out: (out.write_bytes(PLAN), edit(f / "record.json", lambda data: rename_file(data, "../../out"))),
        "cannot be understood",
    ),
    "an absolute path": (
        lambda f, out: (out.write_bytes(PLAN), edit(f / "record.json", lambda data: rename_file(data, str(out)))),
        "cannot be understood",
    ),
    "an identity of another GPU": (
        lambda f, _: edit(f / "identity.json", lambda data: data.update(device="NVIDIA RTX A2000")),
        "holds another engine",
    ),
    "an identity of another graph": (
        lambda f, _: edit(f / "identity.json", lambda data: data.update(graph="policy")),
        "holds another engine: policy-",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_as_it_was_stored_is_refused_in_one_line(store: EngineStore, tmp_path: Path, damage: str) -> None:
    name = put(store).folder.name
    do, words = DAMAGE[damage]
    do(store.folder / name, tmp_path / "out")
    assert words in refused(store, name)


def test_engines_that_lie_elsewhere_are_refused(store: EngineStore, tmp_path: Path) -> None:
    name = put(store).folder.name
    store.folder.rename(tmp_path / "elsewhere")
    store.folder.symlink_to(tmp_path / "elsewhere")
    assert "not a folder inside the bundle" in refused(store, name)
    with pytest.raises(BackendError, match="not a folder inside the bundle"):
        put(store)


def test_another_engine_under_this_name_is_refused(store: EngineStore) -> None:
    name, other = put(store).folder, put(store, b"other" * 50, graph="policy").folder
    for path in name.iterdir():
        path.unlink()
    for path in other.iterdir():
        path.rename(name / path.name)
    assert f"holds another engine: {other.name}" in refused(store, name.name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_changed_byte_is_ever_given_out(store: EngineStore, data: st.DataObject) -> None:
    """Any file but the record, any change; and the record itself, which may only lead to a refusal or to the same bytes."""
    engine = put(store)
    path = engine.folder / data.draw(st.sampled_from(["engine.plan", "identity.json", "extra.data", "record.json"]))
    before = path.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    after = before[:at] + data.draw(st.binary(max_size=4)) + before[at + data.draw(st.integers(0, 4)) :]
    path.write_bytes(after)
    try:
        found = store.open(engine.folder.name)
        found.verify()
        given_out = found.read()
    except BackendError:
        return
    assert given_out == PLAN
    assert after == before or path.name == "record.json"


def selection() -> Selected:
    return Selected(
        pairs={
            "tensorrt/fp16": Pair(
                graphs={"student": identity().folder, "renderer": "source"}, chain=Gated(status="passed")
            )
        }
    )


def test_the_selection_is_kept(store: EngineStore) -> None:
    assert store.selected() == Selected()
    store.select(selection())
    assert store.selected() == selection()
    assert [path.name for path in store.folder.iterdir()] == ["selected.json"]


@pytest.mark.parametrize("name", ["../student-0123456789abcdef", "/tmp/x", "student", "student-0123456789abcdeg", ""])
def test_a_selection_that_leads_elsewhere_is_refused(store: EngineStore, name: str) -> None:
    store.select(selection())
    edit(store.folder / "selected.json", lambda data: data["pairs"]["tensorrt/fp16"]["graphs"].update(student=name))
    with pytest.raises(BackendError, match=r"selected\.json cannot be understood"):
        store.selected()


def test_a_build_that_is_killed_leaves_no_engine_and_its_rest_is_swept(store: EngineStore, tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from videoscene_rt.engines.store.store import EngineStore
with EngineStore(Path(sys.argv[1])).staging() as folder:
    (folder / "engine.plan").write_bytes(b"half")
    print(folder.name, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    partial = process.stdout.readline().strip()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert (store.folder / partial).is_dir()
    assert store.names() == ()
    put(store)
    store.sweep()
    assert [path.name for path in store.folder.iterdir()] == [identity().folder]


HOLD = """
import sys, time
from pathlib import Path
from videoscene_rt.engines.building.lock import build_lock
with build_lock(Path(sys.argv[1]), 5):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(store: EngineStore) -> subprocess.Popen[str]:
    store.prepare()
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(store.folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process  # type: ignore[misc]
    process.kill()
    process.wait()


def test_who_holds_the_lock_is_named(store: EngineStore, holder: subprocess.Popen[str]) -> None:
    waited: list[str] = []
    with (
        pytest.raises(BackendError, match=rf"process {holder.pid} on .* is building .* within 0.3 s"),
        build_lock(store.folder, 0.3, waited.append),
    ):
        pass
    assert waited[0].startswith(f"waiting for process {holder.pid} ")


def test_a_dead_holder_blocks_nobody(store: EngineStore, holder: subprocess.Popen[str]) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    start = time.monotonic()
    with build_lock(store.folder, 30):
        told = json.loads((store.folder / ".holder.json").read_text())
        assert told["pid"] == os.getpid()
    assert time.monotonic() - start < 20
    with build_lock(store.folder, 0):  # given back
        pass


def test_the_lock_waits_until_it_is_given_back(store: EngineStore, holder: subprocess.Popen[str]) -> None:
    def end_it(words: str) -> None:
        holder.kill()

    with build_lock(store.folder, 30, end_it):
        assert holder.wait(10) is not None


def test_the_digest_in_the_record_is_of_the_file(store: EngineStore) -> None:
    engine = put(store)
    for name, entry in engine.record.files.items():
        assert (entry.sha256, entry.bytes) == (file_sha256(engine.folder / name), (engine.folder / name).stat().st_size)
