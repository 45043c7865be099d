"""Every form gives what diffusers' layer gives, at an eighth of its size; the program writes what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from videoscene_rt.bench.published.weights import Draw
from videoscene_rt.bench.rewrites.measuring import RewritesRequest, measure_rewrites
from videoscene_rt.bench.rewrites.places import places
from videoscene_rt.engines.errors import BackendError


@pytest.mark.parametrize("latent_frames", [2, 3])
def test_forms_are_the_layer(latent_frames: int) -> None:
    exact = {"repeated late", "late"}
    with torch.no_grad():
        for place in places(torch.float32, Draw("cpu", 0), 8, 10, latent_frames):
            wanted = place.forms["traced"](*place.inputs)
            for name, form in place.forms.items():
                found = form(*place.inputs)
                assert found.shape == wanted.shape, (place.name, name)
                gap = float(torch.linalg.vector_norm(found - wanted) / torch.linalg.vector_norm(wanted))
                assert gap < (1e-7 if name in exact else 2e-6), (place.name, name, gap)


def test_the_program_writes_times_operations_and_distances(tmp_path: Path) -> None:
    out = tmp_path / "new" / "rewrites.json"
    request = RewritesRequest(out=out, dtypes=("fp32",), runs=1, device="cpu", narrower=8, smaller=10)
    found = measure_rewrites(request)
    assert found["failures"] == {}
    written = json.loads(out.read_text())
    assert written["rows"] == found["rows"]
    gflop = {(row["place"], row["form"]): row["gflop"] for row in found["rows"]}
    for block, saved in (("up_blocks.0", 4.5), ("up_blocks.1", 4.5), ("up_blocks.2", 2.25)):
        place = f"{block} upsampler"
        assert gflop[place, "traced"] / gflop[place, "transposed"] == pytest.approx(saved, rel=0.01)
    assert all(row["ms_min"] <= row["ms_p50"] <= row["ms_max"] for row in found["rows"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no CUDA device"):
        measure_rewrites(RewritesRequest(out=tmp_path / "rewrites.json"))
