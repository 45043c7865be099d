"""`vsrt doctor`: verdicts over made-up machines, and what this one says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from videoscene_rt import environment as env
from videoscene_rt import machine as mach
from videoscene_rt.cli import diagnosis
from videoscene_rt.cli.diagnosis import backends, export
from videoscene_rt.cli.main import main
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.onnxruntime_probe import IDENTITY
from videoscene_rt.environment import Environment, Providers, older, require, requirements
from videoscene_rt.machine import Gpu, Gpus, Machine, jetson, machine, parse_gpus

ALL = ("onnxruntime", "onnxruntime-cuda", "tensorrt", "tensorrt-rtx")
RTX4090 = Gpus((Gpu("NVIDIA GeForce RTX 4090", "580.1", 24564, "8.9"),))
H100 = Gpus((Gpu("NVIDIA H100 80GB HBM3", "580.1", 81559, "9.0"),))


def computer(**changes: Any) -> Environment:
    """A plain CPU machine with ONNX Runtime."""
    facts: dict[str, Any] = {
        "version": "0.1.0",
        "python": "3.11.7 (CPython)",
        "machine": Machine("Linux", "x86_64", "A processor", 4, 2, 8 << 30, None),
        "gpus": Gpus(note="nvidia-smi is not on the PATH"),
        "jetson": None,
        "packages": {"numpy": "2.0.0", "onnxruntime": "1.22.0"},
        "providers": Providers(("CPUExecutionProvider",)),
        "warnings": (),
    }
    return Environment(**{**facts, **changes})


def verdicts(
    environment: Environment, adapters: tuple[str, ...] = ALL, problem: str = ""
) -> dict[str, diagnosis.Verdict]:
    return {verdict.name: verdict for verdict in backends(environment, adapters, lambda provider: problem)}


def test_a_plain_machine_runs_the_cpu_backend_alone() -> None:
    found = verdicts(computer())
    assert {name: verdict.usable for name, verdict in found.items()} == {
        "onnxruntime": True,
        "onnxruntime-cuda": False,
        "tensorrt": False,
        "tensorrt-rtx": False,
    }
    assert found["onnxruntime"].version == "onnxruntime 1.22.0"
    assert found["tensorrt"].remedy == "pip install 'videoscene-rt[cuda,tensorrt]'"
    assert "the package cuda-core" in found["tensorrt"].missing
    assert any("NVIDIA GPU" in line for line in found["tensorrt"].missing)
    assert "was built without it" in found["onnxruntime-cuda"].missing[0]
    assert "pip uninstall -y onnxruntime" in found["onnxruntime-cuda"].remedy


def test_missing_onnxruntime_is_named_with_its_install_line() -> None:
    bare = computer(packages={}, providers=Providers(problem="ONNX Runtime is not installed"))
    verdict = verdicts(bare)["onnxruntime"]
    assert (verdict.usable, verdict.missing) == (False, ("ONNX Runtime is not installed",))
    assert verdict.remedy == "pip install 'videoscene-rt[cpu]'"


def test_a_provider_that_does_not_run_is_not_usable() -> None:
    verdict = verdicts(computer(), problem="CPUExecutionProvider fails: illegal instruction")["onnxruntime"]
    assert verdict.usable is False
    assert "illegal instruction" in verdict.missing[0]


def test_what_was_not_run_is_not_called_usable() -> None:
    full = computer(
        gpus=RTX4090,
        packages={
            "onnxruntime-gpu": "1.22.0",
            "tensorrt": "10.13.0",
            "tensorrt-rtx-cu13": "1.7.1",
            "cuda-core": "1.2.2",
        },
        providers=Providers(("CUDAExecutionProvider", "CPUExecutionProvider")),
    )
    for name in ("onnxruntime-cuda", "tensorrt", "tensorrt-rtx"):
        assert (verdicts(full)[name].usable, verdicts(full)[name].missing) == (None, ())
        assert "RTX 4090" in str(verdicts(full)[name].device)


def test_tensorrt_rtx_does_not_run_on_an_h100() -> None:
    verdict = verdicts(computer(gpus=H100, packages={"tensorrt-rtx-cu13": "1.7.1", "cuda-core": "1.2"}))["tensorrt-rtx"]
    assert verdict.usable is False
    assert "not compute capability 9.0" in verdict.missing[0]


def test_no_install_line_where_this_version_cannot_use_it() -> None:
    verdict = verdicts(computer(gpus=RTX4090), adapters=("onnxruntime",))["tensorrt"]
    assert verdict.missing[0] == "support for it: videoscene-rt 0.1.0 has none yet"
    assert verdict.remedy == ""


EXPORTERS = {
    "torch": "2.13.0+cpu",
    "diffusers": "0.42.1",
    "onnx": "1.23.2",
    "onnxscript": "0.7.2",
    "onnx-ir": "1.1.0",
    "ml_dtypes": "0.5.4",
    "onnxruntime": "1.32.0",
    "safetensors": "0.8.0",
}


def test_export_with_everything() -> None:
    assert export(computer(packages=EXPORTERS)).usable is True
    other = {**EXPORTERS, "onnxruntime-gpu": EXPORTERS["onnxruntime"]}
    del other["onnxruntime"]
    assert export(computer(packages=other)).usable is True, "onnxruntime-gpu serves as well"


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"torch": None}, "torch"),
        ({"torch": "2.9.1+cpu"}, "torch 2.11 or later (this is 2.9.1+cpu)"),
        ({"onnx-ir": None}, "onnx-ir"),
        ({"ml_dtypes": None}, "ml_dtypes"),
    ],
)
def test_export_names_what_is_missing(changes: dict[str, str | None], missing: str) -> None:
    packages = {name: version for name, version in {**EXPORTERS, **changes}.items() if version is not None}
    verdict = export(computer(packages=packages))
    assert (verdict.usable, verdict.missing) == (False, (missing,))
    assert verdict.remedy == "pip install 'videoscene-rt[export]'"


def test_export_needs_some_onnxruntime_and_no_special_one() -> None:
    without = {name: version for name, version in EXPORTERS.items() if name != "onnxruntime"}
    verdict = export(computer(packages=without))
    assert (verdict.usable, verdict.remedy) == (False, "pip install 'videoscene-rt[cpu]'")
    assert "ONNX Runtime" in verdict.missing[0]
    del without["torch"]
    assert export(computer(packages=without)).remedy == "pip install 'videoscene-rt[cpu,export]'"
    assert "onnxruntime" not in (requirements("export") or {})


def test_export_needs_a_newer_python_than_the_runtime() -> None:
    verdict = export(computer(packages=EXPORTERS, python="3.10.12 (CPython)"))
    assert "Python 3.11" in verdict.missing[0]
    assert "3.11" in verdict.remedy, "installing packages into Python 3.10 helps nobody"


def test_export_is_unknown_where_we_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "requirements", lambda extra: None)
    assert export(computer()).usable is None


def test_the_identity_graph_is_what_its_comment_says_and_runs() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(IDENTITY)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Identity"]
    pytest.importorskip("onnxruntime")
    assert diagnosis.run_identity("CPUExecutionProvider") == ""
    assert diagnosis.run_identity("NoSuchExecutionProvider") != ""


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    assert main(["doctor", "--json"]) == 0
    written = capsys.readouterr()
    document = json.loads(written.out)
    assert written.err == ""
    assert document["usable"] is True
    assert [entry["name"] for entry in document["backends"]] == ["onnxruntime", *ALL[1:]]
    assert document["environment"]["packages"]["numpy"] == metadata.version("numpy")
    assert document["environment"]["python"].startswith(".".join(map(str, sys.version_info[:3])))


@pytest.mark.parametrize("arguments", [["doctor"], ["doctor", "--json"]])
def test_nothing_usable_is_3_and_the_report_is_still_there(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = computer(
        packages={}, providers=Providers(problem="ONNX Runtime is not installed"), warnings=("[b]careful[/b]",)
    )
    monkeypatch.setattr(env, "gather", lambda: bare)
    assert main(arguments) == 3
    written = capsys.readouterr()
    assert written.err.splitlines() == [
        "error: no backend can run on this machine",
        "  → for the CPU: pip install 'videoscene-rt[cpu]'",
    ]
    assert "[b]careful[/b]" in written.out
    if "--json" in arguments:
        assert json.loads(written.out)["usable"] is False
    else:
        assert "videoscene-rt[cpu]" in written.out


def test_the_table_shows_a_gpu_machine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    orin = computer(gpus=H100, jetson=mach.Jetson("36.4.3", "Jetson AGX Orin", "MAXN"))
    monkeypatch.setattr(env, "gather", lambda: orin)
    main(["doctor"])
    text = capsys.readouterr().out
    for word in ("NVIDIA H100 80GB HBM3", "79.6 GiB", "driver 580.1", "L4T 36.4.3", "MAXN", "2 usable"):
        assert word in text


# -- what is gathered -------------------------------------------------------------------------------------------------


def test_nvidia_smi_is_read_name_and_all() -> None:
    text = (
        "NVIDIA H100 80GB HBM3, 580.159.04, 81559, 9.0\nOrin (nvgpu), 540.4.0, [N/A], [N/A]\nA, B card, 1, 2, 8.6\n\n"
    )
    assert parse_gpus(text) == (
        Gpu("NVIDIA H100 80GB HBM3", "580.159.04", 81559, "9.0"),
        Gpu("Orin (nvgpu)", "540.4.0", None, None),
        Gpu("A, B card", "1", 2, "8.6"),
    )
    assert parse_gpus("No devices were found\n") == ()


@pytest.mark.parametrize(
    ("script", "note"),
    [
        (
            "echo 'NVIDIA-SMI has failed because it could not talk to the driver'; exit 9",
            "could not talk to the driver",
        ),
        ("echo 'No devices were found'", "lists no GPU"),
        ("sleep 30", "no answer within"),
    ],
)
def test_an_nvidia_smi_that_fails_is_told(
    script: str, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script.replace('sleep', 'exec /bin/sleep')}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(mach, "_TIMEOUT_S", 0.5)
    found = mach.gpus()
    assert found.found == ()
    assert note in found.note


def test_a_jetson_is_recognised(tmp_path: Path) -> None:
    assert jetson(tmp_path) is None
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "etc/nv_tegra_release").write_text(
        "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n"
    )
    (tmp_path / "proc/device-tree/model").write_bytes(b"NVIDIA Jetson AGX Orin Developer Kit\x00")
    found = jetson(tmp_path)
    assert found is not None
    assert (found.l4t, found.model) == ("36.4.3", "NVIDIA Jetson AGX Orin Developer Kit")


def test_memory_and_its_limit_are_read(tmp_path: Path) -> None:
    bare = machine(tmp_path)
    assert (bare.memory_bytes, bare.memory_limit_bytes, bare.processor) == (None, None, None)
    (tmp_path / "proc").mkdir()
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:        8000 kB\nMemFree: 1 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("4096000\n")
    found = machine(tmp_path)
    assert (found.memory_bytes, found.memory_limit_bytes) == (8_192_000, 4_096_000)
    assert found.processor == "A CPU @ 2 GHz"
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert machine(tmp_path).memory_limit_bytes is None


def test_two_onnxruntimes_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"onnxruntime": "1.22.0", "onnxruntime-gpu": "1.22.0"}
    monkeypatch.setattr(env, "version", there.get)
    assert len(env.warnings()) == 1
    assert "onnxruntime-gpu and onnxruntime are installed together" in env.warnings()[0]
    del there["onnxruntime"]
    assert env.warnings() == ()


def test_a_broken_onnxruntime_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    assert "libcudart.so.13" in env.providers().problem


def test_a_module_without_metadata_has_an_unknown_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt_rtx.py").write_text("raise RuntimeError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(env, "version", lambda distribution: None)
    assert env.packages()["tensorrt-rtx"] == "unknown"


def test_require_names_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert require("json", "export") is json
    with pytest.raises(BackendError) as caught:
        require("no_such_package_here", "export")
    assert caught.value.problem == "the package no_such_package_here is not installed"
    assert caught.value.remedy == "pip install 'videoscene-rt[export]'"
    (tmp_path / "half_installed.py").write_text("import no_such_package_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=r"half_installed is installed but fails to import: .*no_such_package_here"):
        require("half_installed", "export")


@pytest.mark.parametrize(
    ("version", "lowest", "expected"),
    [
        ("2.9.1+cpu", "2.11", True),
        ("2.11", "2.11.0", False),
        ("2.11.0rc1", "2.11", False),
        ("10.3.0", "8.6", False),
        ("0.1.9", "0.1.12", True),
    ],
)
def test_versions_compare_by_number(version: str, lowest: str, expected: bool) -> None:
    assert older(version, lowest) is expected


def test_requirements_are_the_packages_own() -> None:
    assert requirements("cpu") == {"onnxruntime": "1.20"}
    assert requirements("cuda") == {"cuda-core": "1.0"}, "with the extra of its own that brings the bindings"
    assert {"torch", "diffusers", "onnx"} <= set(requirements("export") or {})
    assert requirements("no-such-extra") == {}


def test_every_package_of_ours_is_known_to_the_doctor() -> None:
    known = {name.lower() for names in env.PACKAGES.values() for name in names}
    bare = [line for line in metadata.requires("videoscene-rt") or [] if "extra ==" not in line]
    needed = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in bare}
    for extra in ("export", "build", "cpu", "cuda"):
        needed |= set(requirements(extra) or {})
    assert needed <= known


def test_every_extra_that_is_named_exists() -> None:
    offered = set(metadata.metadata("videoscene-rt").get_all("Provides-Extra") or [])
    assert {"cpu", "ort-cuda", "tensorrt", "tensorrt-rtx", "export"} <= offered


def test_gathering_imports_nothing_heavy() -> None:
    code = (
        "import sys; from videoscene_rt.environment import gather; gather(); "
        "print([m for m in ('torch', 'onnx', 'diffusers', 'tensorrt', 'av') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
