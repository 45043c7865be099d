"""Loading the plug-in: verified, once a process, and refused in one line, after which the process goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.plugin_library import WITHOUT_SYMBOL, library, registering
from videoscene_rt import BackendError, InputError
from videoscene_rt.engines import routed
from videoscene_rt.engines.digest import file_sha256
from videoscene_rt.engines.plugin import GivenPlugin, Plugin
from videoscene_rt.engines.routed import RoutedBackend
from videoscene_rt.engines.store.located import Located
from videoscene_rt.engines.tensorrt import plugin as loading
from videoscene_rt.engines.tensorrt import worker
from videoscene_rt.engines.tensorrt.capabilities import TENSORRT_8_6, TENSORRT_RTX_1
from videoscene_rt.engines.tensorrt.plugin import load_plugin
from videoscene_rt.engines.tensorrt.request import Job

Opened = Callable[..., list[str]]


def stored(path: Path) -> Plugin:
    path.chmod(0o600)
    return Plugin(path, file_sha256(path))


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A process that has loaded nothing yet, with this TensorRT; the names of the libraries that are opened from then on."""
    monkeypatch.setattr(loading, "_loaded", {})
    opened: list[str] = []
    real = loading._open

    def watched(plugin: Plugin, *rest: Any) -> Any:
        opened.append(plugin.path.name)
        return real(plugin, *rest)

    monkeypatch.setattr(loading, "_open", watched)

    def use(*names: str, version: str = "8.6.1") -> list[str]:
        module = registering(version, *names)
        monkeypatch.setattr(loading, "open_package", lambda package: (module, TENSORRT_8_6))
        return opened

    return use


def test_it_is_loaded_once_for_every_bundle_that_has_it(trt: Opened, tmp_path: Path) -> None:
    opened = trt("once.so", "copy.so")
    one = stored(library(tmp_path / "once.so"))
    other = tmp_path / "copy.so"
    other.write_bytes(one.path.read_bytes())
    load_plugin("tensorrt", one)
    load_plugin("tensorrt", one)
    load_plugin("tensorrt", stored(other))
    assert opened == ["once.so"]
    with pytest.raises(BackendError, match=r"third\.so is another plug-in than the one that this process has loaded"):
        load_plugin("tensorrt", stored(library(tmp_path / "third.so")))
    assert opened == ["once.so"]


def test_bytes_that_were_not_stored_are_not_loaded(trt: Opened, tmp_path: Path) -> None:
    opened = trt("altered.so")
    plugin = stored(library(tmp_path / "altered.so"))
    with plugin.path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BackendError, match=r"altered\.so was altered: its SHA-256 is"):
        load_plugin("tensorrt", plugin)
    plugin.path.chmod(0o666)
    with pytest.raises(BackendError, match=r"altered\.so can be written by others"):
        load_plugin("tensorrt", plugin)
    plugin.path.unlink()
    with pytest.raises(BackendError, match=r"altered\.so is missing"):
        load_plugin("tensorrt", plugin)
    plugin.path.symlink_to("elsewhere.so")
    with pytest.raises(BackendError, match=r"altered\.so is not a plain file"):
        load_plugin("tensorrt", plugin)
    assert opened == []


@pytest.mark.parametrize(("built_for", "here"), [("10.3", "8.6.1"), ("8.6", "10.3.0"), ("10.13", "10.3.0")])
def test_another_tensorrts_is_not_loaded(trt: Opened, tmp_path: Path, built_for: str, here: str) -> None:
    """Its registration would call through another table of functions, and end the process."""
    opened = trt("version.so", version=here)
    plugin = stored(library(tmp_path / "version.so", built_for))
    with pytest.raises(BackendError, match=rf"was built for TensorRT {built_for}, here is {here}"):
        load_plugin("tensorrt", plugin)
    assert opened == []


def test_an_older_one_of_the_same_major_version_is_taken(trt: Opened, tmp_path: Path) -> None:
    assert trt("older.so", version="10.13.3") == []
    load_plugin("tensorrt", stored(library(tmp_path / "older.so", "10.3")))


def test_what_does_not_load_is_refused_and_the_process_goes_on(trt: Opened, tmp_path: Path) -> None:
    trt("good.so")
    missing = stored(library(tmp_path / "missing.so", code=WITHOUT_SYMBOL))
    with pytest.raises(BackendError, match=r"missing\.so cannot be loaded: .*no_such_symbol"):
        load_plugin("tensorrt", missing)
    whole = library(tmp_path / "whole.so").read_bytes()
    half = tmp_path / "half.so"
    for length in (0, 60, len(whole) // 2, len(whole) - 6000):
        half.write_bytes(whole[:length])
        with pytest.raises(BackendError, match=r"half\.so ends too early"):
            load_plugin("tensorrt", stored(half))
    silent = stored(library(tmp_path / "silent.so"))
    with pytest.raises(BackendError, match=r"silent\.so has no VideoSceneAttention for tensorrt 8\.6\.1"):
        load_plugin("tensorrt", silent)
    load_plugin("tensorrt", stored(library(tmp_path / "good.so")))


def test_where_nothing_may_be_executed_it_says_so(trt: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt()
    plugin = stored(library(tmp_path / "noexec.so"))

    def refuse(path: str, mode: int = 0) -> None:
        raise OSError(f"{path}: failed to map segment from shared object: Operation not permitted")

    monkeypatch.setattr(loading.ctypes, "CDLL", refuse)
    with pytest.raises(BackendError, match=r"noexec\.so cannot be loaded: failed to map segment") as refused:
        load_plugin("tensorrt", plugin)
    assert "noexec" in str(refused.value.remedy)


def test_an_op_that_somebody_else_registered_is_not_taken_for_ours(trt: Opened, tmp_path: Path) -> None:
    opened = trt("foreign.so")
    loading.ctypes.CDLL(str(library(tmp_path / "foreign.so")))
    with pytest.raises(BackendError, match="has VideoSceneAttention of another library already"):
        load_plugin("tensorrt", stored(library(tmp_path / "late.so")))
    assert opened == []


def test_tensorrt_rtx_has_none(trt: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt()
    module = registering("8.6.1")
    monkeypatch.setattr(loading, "open_package", lambda package: (module, TENSORRT_RTX_1))
    with pytest.raises(BackendError, match="tensorrt_rtx has no plug-ins"):
        load_plugin("tensorrt_rtx", stored(library(tmp_path / "rtx.so")))


def test_what_a_build_is_given_is_looked_at_first(tmp_path: Path) -> None:
    good = library(tmp_path / "given.so")
    link = tmp_path / "link.so"
    link.symlink_to(good)
    for path in (good, link):
        given = GivenPlugin.read(path, "8.6.1")
        assert (given.data, given.sha256) == (good.read_bytes(), file_sha256(good))
    text = tmp_path / "text.so"
    text.write_text("videoscene-rt plug-in for TensorRT 8.6;")
    half = tmp_path / "half.so"
    half.write_bytes(good.read_bytes()[:-6000])
    with pytest.raises(BackendError, match=r"half\.so ends too early"):
        GivenPlugin.read(half, "8.6.1")
    for path in (text, library(tmp_path / "foreign.so", ""), tmp_path, tmp_path / "nothing.so"):
        with pytest.raises(InputError, match=r"is not the plug-in of videoscene-rt|cannot be read"):
            GivenPlugin.read(path, "8.6.1")
    with pytest.raises(BackendError, match=r"was built for TensorRT 8\.6, here is 10\.3\.0"):
        GivenPlugin.read(good, "10.3.0")


def test_the_builders_process_has_it_before_the_graph_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def parse(*_: Any) -> Any:
        told.append("parse")
        raise BackendError("enough")

    module = SimpleNamespace(__version__="8.6.1", Builder=lambda log: told.append("builder"))
    monkeypatch.setattr(worker, "open_package", lambda package: (module, TENSORRT_8_6))
    monkeypatch.setattr(worker, "make_log", lambda *_: None)
    monkeypatch.setattr(worker, "load_plugin", lambda package, plugin: told.append((package, plugin)))
    monkeypatch.setattr(worker, "parse", parse)
    job = Job("g.onnx", "plan", "tensorrt", "fp16", {}, None, 3, None, None, None, ["/folder/plugin.so", "ab"])
    events = SimpleNamespace(progress=lambda *_: None, message=lambda *_: None)
    with pytest.raises(worker._RefusedError, match=r"tensorrt 8\.6\.1: enough"):
        worker.build(job, events)  # type: ignore[arg-type]
    assert told == ["builder", ("tensorrt", Plugin(Path("/folder/plugin.so"), "ab")), "parse"]
    told.clear()
    with pytest.raises(worker._RefusedError):
        worker.build(replace(job, plugin=None), events)  # type: ignore[arg-type]
    assert told == ["builder", "parse"]


@pytest.mark.parametrize("plugin", [None, Plugin(Path("plugin.so"), "ab")])
def test_an_engine_is_loaded_after_its_plug_in_and_others_load_none(
    monkeypatch: pytest.MonkeyPatch, plugin: Plugin | None
) -> None:
    told: list[Any] = []
    device = SimpleNamespace(load=lambda bundle, graph: told.append("engine") or SimpleNamespace())
    monkeypatch.setattr(routed, "_open", lambda kind, locate: (device, None))
    monkeypatch.setattr(routed, "load_plugin", lambda package, found: told.append((package, found)))
    engine = SimpleNamespace(plugin=plugin, identity=None)
    located = Located("engine", Path("engine.plan"), engine)  # type: ignore[arg-type]
    RoutedBackend("tensorrt", lambda bundle, graph: located).load(None, "student")  # type: ignore[arg-type]
    assert told == ([] if plugin is None else [("tensorrt", plugin)]) + ["engine"]
