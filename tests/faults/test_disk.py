"""A full disk and a folder that cannot be written, while engines are built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nursery import Nursery

_BUILD = ("--precision", "fp16", "--threads", "1")


def _sized(limit: int) -> object:
    return pytest.param(limit, marks=() if limit == 20_000 else pytest.mark.slow)


@pytest.mark.parametrize("limit", [_sized(limit) for limit in (4096, 8192, 20_000, 40_000, 100_000, 400_000)])
def test_files_that_may_not_grow(
    nursery: Nursery, small_bundle: Path, scene_folder: Path, tmp_path: Path, limit: int
) -> None:
    """The kernel refuses every byte beyond the limit, in whatever file the build writes, by whatever library."""
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "b.bundle"))
    ended = nursery.vsrt("build", bundle, *_BUILD, file_bytes=limit)
    assert ended.refused, (ended.code, ended.err)
    assert ended.code == 3
    told = {"bundle": str(bundle), "precision": "fp16", "scene": str(scene_folder)}
    assert nursery.call("tests.faults.children:load", dict(told)).refused  # nothing half is taken
    assert nursery.vsrt("build", bundle, *_BUILD).code == 0
    assert nursery.call("tests.faults.children:load", dict(told)).code == 0
    assert not [path for path in (bundle / "engines").iterdir() if path.name.endswith(".partial")]


_FULL = """
set -eu
mount -t tmpfs -o size="$2",mode=700 none "$1"
cp -r "$3" "$1/b.bundle"
python=$4; scene=$5; bundle=$1/b.bundle; disk=$1
run() { "$python" -m videoscene_rt.cli.main "$@"; }
set +e
run build "$bundle" --precision fp16 --threads 1 2> full.err > /dev/null; echo "full $?"
mount -o remount,size=256m "$disk"
run build "$bundle" --precision fp16 --threads 1 2> again.err > /dev/null; echo "again $?"
mount -o remount,ro "$disk"
run build "$bundle" --precision fp16 --threads 1 --force 2> readonly.err > /dev/null; echo "readonly $?"
run run "$bundle" --precision fp16 --scene "$scene" --out out 2> run.err > /dev/null; echo "run $?"
mount -o remount,rw "$disk"
run build "$bundle" --precision fp16 --threads 1 --force 2> writable.err > /dev/null; echo "writable $?"
ls -A "$bundle/engines" > left
"""


def _may_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    test = [unshare, "-Urm", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "room_kib",
    [
        pytest.param(300, marks=pytest.mark.slow),
        pytest.param(900, marks=pytest.mark.slow),
        pytest.param(1300, marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_is_full_and_one_that_is_read_only(
    small_bundle: Path, scene_folder: Path, tmp_path: Path, room_kib: int
) -> None:
    """A small disk of its own: full while building, larger, read-only, writable again."""
    if not _may_mount():
        pytest.skip("this user may not mount a disk of its own (unshare -Urm)")
    disk = tmp_path / "disk"
    disk.mkdir()
    size = sum(path.stat().st_size + 4096 for path in small_bundle.iterdir()) // 1024 + room_kib
    command = [
        "unshare",
        "-Urm",
        "sh",
        "-c",
        _FULL,
        "sh",
        str(disk),
        f"{size}k",
        str(small_bundle),
        sys.executable,
        str(scene_folder),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    said = {name: (tmp_path / f"{name}.err").read_text() for name in ("full", "again", "readonly", "run", "writable")}
    assert done.stdout.split("\n")[:5] == ["full 3", "again 0", "readonly 3", "run 0", "writable 0"], (done, said)
    for name, words in (("full", "No space left on device"), ("readonly", "Read-only file system")):
        errors = [line for line in said[name].splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, said[name]
        assert words in errors[0]
        assert "Traceback" not in said[name]
    assert ".partial" not in (tmp_path / "left").read_text()
