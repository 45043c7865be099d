"""The kernels' library as torch's step calls it: the header's structs, and a stand-in library that says what it was given."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.presets import SMALL
from videoscene_rt.bench.native_renderer import NativeRenderer, SplatBuffers, SplatConfig
from videoscene_rt.engines.errors import BackendError, InputError
from videoscene_rt.engines.preset import Preset

HEADER = Path(__file__).parents[2] / "engines" / "kernels" / "native"
STAND_IN = """
#include "videoscene_rt_kernels.h"
#include <string.h>
int32_t vsrt_kernels_abi(void) { return ABI; }
const char *vsrt_status_string(VsrtStatus s) { return s == VSRT_BAD_SIZE ? "bad size" : "something"; }
VsrtStatus vsrt_splat_workspace_bytes(const VsrtSplatConfig *c, size_t *bytes) {
  *bytes = 1000 + c->radius;
  return c->max_points > 100000 ? VSRT_BAD_SIZE : VSRT_OK;
}
VsrtStatus vsrt_splat_enqueue(const VsrtSplatConfig *c, const VsrtSplatBuffers *b, void *stream) {
  size_t pixels = (size_t)c->frames * c->height * c->width;
  if (stream != 0 || b->workspace_bytes != (size_t)1000 + c->radius) return VSRT_WORKSPACE_TOO_SMALL;
  memset(b->workspace, 1, b->workspace_bytes);
  for (size_t i = 0; i < 3 * pixels; i++) b->frames[i] = c->background[i % 3];
  for (size_t i = 0; i < pixels; i++) {
    b->depth[i] = c->near_plane + b->xyz[3 * (b->num_points[0] - 1)] + b->intrinsics[9 * c->frames - 1] + b->world_to_camera[0];
    b->hole_mask[i] = b->rgb[3 * c->max_points - 1];
  }
  return VSRT_OK;
}
"""
LAYOUT = """
#include "videoscene_rt_kernels.h"
#include <stdio.h>
int main(void) {
  printf("%zu %zu\\n", sizeof(VsrtSplatConfig), sizeof(VsrtSplatBuffers));
  printf("%zu %zu\\n", offsetof(VsrtSplatConfig, near_plane), offsetof(VsrtSplatConfig, group_frames));
  printf("%zu %zu\\n", offsetof(VsrtSplatBuffers, hole_mask), offsetof(VsrtSplatBuffers, workspace_bytes));
}
"""


def compiled(tmp_path: Path, source: str, *options: str) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler")
    file, out = tmp_path / "source.c", tmp_path / "out.so"
    file.write_text(source)
    subprocess.run(["gcc", *options, f"-I{HEADER}", "-o", str(out), str(file)], check=True)
    return out


def stand_in(tmp_path: Path, abi: int = 1) -> Path:
    return compiled(tmp_path, STAND_IN, "-shared", "-fPIC", f"-DABI={abi}")


def inputs(preset: Preset) -> list[torch.Tensor]:
    rng = np.random.default_rng(0)
    shapes = ((preset.max_points, 3), (preset.frames, 4, 4), (preset.frames, 3, 3))
    xyz, poses, cameras = (torch.from_numpy(rng.random(shape, dtype=np.float32)) for shape in shapes)
    rgb = torch.from_numpy(rng.integers(0, 256, (preset.max_points, 3), dtype=np.uint8))
    return [xyz, rgb, torch.tensor([7], dtype=torch.int32), poses, cameras]


def test_the_structs_are_the_headers(tmp_path: Path) -> None:
    import ctypes

    done = subprocess.run([str(compiled(tmp_path, LAYOUT))], capture_output=True, text=True, check=True)
    assert [int(number) for number in done.stdout.split()] == [
        ctypes.sizeof(SplatConfig), ctypes.sizeof(SplatBuffers), SplatConfig.near_plane.offset, SplatConfig.group_frames.offset,
        SplatBuffers.hole_mask.offset, SplatBuffers.workspace_bytes.offset,
    ]  # fmt: skip


def test_it_gives_the_library_what_it_was_given(tmp_path: Path) -> None:
    renderer = NativeRenderer(stand_in(tmp_path), SMALL, "cpu")
    xyz, rgb, _, poses, cameras = given = inputs(SMALL)
    frames, depth, holes = renderer(*given)
    assert (frames.reshape(-1, 3) == torch.tensor(SMALL.renderer.background)).all()
    expected = np.float32(SMALL.renderer.near) + xyz[6, 0] + cameras[-1, 2, 2] + poses[0, 0, 0]
    assert torch.allclose(depth, expected.expand_as(depth))
    assert (holes == rgb[-1, 2]).all()
    video = (SMALL.frames, SMALL.height, SMALL.width)
    assert [tuple(found.shape) for found in (frames, depth, holes)] == [(*video, 3), video, video]


def test_what_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        NativeRenderer(tmp_path / "missing.so", SMALL, "cpu")
    large = SMALL.model_copy(update={"max_points": 200_000})
    with pytest.raises(BackendError, match="bad size"):
        NativeRenderer(stand_in(tmp_path), large, "cpu")


def test_another_abi_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="has ABI 2; this program knows 1"):
        NativeRenderer(stand_in(tmp_path, abi=2), SMALL, "cpu")
