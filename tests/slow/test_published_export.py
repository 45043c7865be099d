"""The export in bounded memory: two blocks at full width, measured; and what a killed one leaves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.checkpoints import write_published
from tests.support.presets import PUBLISHED, SMALL
from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.preset import Preset, TinyAutoencoderSizes
from videoscene_rt.export.bundle_export import ExportRequest, export_bundle
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.models import build_shells
from videoscene_rt.export.parity import relative_l2, run_file
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.segments import run_in_segments
from videoscene_rt.export.sources import weight_sources

pytestmark = pytest.mark.slow

LIMIT_MIB = 2048
PEAK_OF_CHILD = """
import os, subprocess, sys
_, status, usage = os.wait4(subprocess.Popen(sys.argv[1:]).pid, 0)
print(status, usage.ru_maxrss)
"""


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "videoscene_rt.cli.main", *map(str, words)]


def two_blocks() -> Preset:
    """The published student's widths, two of its blocks, few tokens; the tiny autoencoder."""
    preset = load_preset("videoscene-5b")
    return preset.model_copy(
        update={
            "name": "two-blocks",
            "frames": 9,
            "height": 64,
            "width": 96,
            "max_points": 20_000,
            "student": preset.student.model_copy(update={"blocks": 2}),
            "autoencoder": TinyAutoencoderSizes(encoder_width=8, decoder_widths=(16, 8, 8, 8)),
        }
    )


def test_two_blocks_at_full_width_are_exported_in_two_gibibytes_and_run(tmp_path: Path) -> None:
    preset, out = two_blocks(), tmp_path / "two.bundle"
    (tmp_path / "two.json").write_text(preset.model_dump_json())
    words = ["export", "--preset", tmp_path / "two.json", "--weights-dtype", "float16", "--proof", "twin", "--out", out]
    # Linux counts into a child's peak what its parent held when it began: so the parent is a small process, and not this one.
    told = subprocess.run([sys.executable, "-c", PEAK_OF_CHILD, *command(*words)], check=True, stdout=subprocess.PIPE)
    status, peak_kib = map(int, told.stdout.split()[-2:])
    assert status == 0
    assert 100 < peak_kib / 1024 < LIMIT_MIB
    manifest = Bundle.open(out).manifest
    assert max(manifest.graphs["student"].parity.relative_l2.values()) < 1e-5

    models = build_shells(preset, weight_sources(preset, None, 0, seed_dtype="float16"), None)
    parameters = sum(each.numel() for each in models.transformer.parameters())  # 283 million, as diffusers counts them
    weights = manifest.files["weights_student.bin"].bytes
    assert 2 * parameters <= weights < 1.05 * 2 * parameters, "each is there, in two bytes, and once"
    source = chain_graphs(models, preset)[2]
    named = zip(source.inputs, source.example(np.random.default_rng(7)), strict=True)
    inputs = {spec.name: value.numpy() for spec, value in named}
    whole = run_file(out / "student.onnx", source, inputs)["z_0"]
    assert np.isfinite(whole).all()
    assert relative_l2(run_in_segments(out / "student.onnx", inputs)["z_0"], whole) < 1e-5
    with Pipeline.load(out) as pipeline:
        assert pipeline.step(scene(height=64, width=96)).status == "ok"


@pytest.mark.parametrize("until", ["renderer.onnx", "weights_student.bin", "twin_student.onnx", "encode_clip.onnx"])
def test_an_export_that_is_killed_leaves_nothing_that_looks_whole(tmp_path: Path, until: str) -> None:
    (tmp_path / "mine.json").write_text(SMALL.model_dump_json())
    target = tmp_path / "out" / "a.bundle"
    words = command("export", "--preset", tmp_path / "mine.json", "--proof", "twin", "--out", target)
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob(f"out/.a.bundle.*.partial/{until}")):
        assert process.poll() is None, "it ended before that file was there"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    with pytest.raises(InputError, match="is not a bundle"):
        Bundle.open(target)
    (left,) = target.parent.iterdir()
    with pytest.raises(InputError, match=r"has no manifest\.json"):
        Bundle.open(left)
    subprocess.run(words, check=True)
    Bundle.open(target)
    assert [path.name for path in target.parent.iterdir()] == ["a.bundle"]


def test_a_checkpoint_is_streamed_into_the_very_bundle_that_memory_makes(tmp_path: Path) -> None:
    """The published layout, its shards in bfloat16, both ways: every file is the same, and both say what was proved."""
    write_published(tmp_path / "published", PUBLISHED)
    request = ExportRequest(PUBLISHED, tmp_path / "whole.bundle", tmp_path / "published", proof="whole")
    whole = export_bundle(request)
    twin = export_bundle(ExportRequest(PUBLISHED, tmp_path / "twin.bundle", tmp_path / "published", proof="twin"))
    assert whole.files == twin.files
    assert whole.provenance.tensor_files == twin.provenance.tensor_files
    assert not whole.chain_parity.scope
    assert twin.chain_parity.scope
    assert {name for name, graph in twin.graphs.items() if not graph.parity.scope} == {"renderer", "policy"}
