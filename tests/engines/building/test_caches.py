"""The published autoencoder built in FP16: its engines say which caches they have in FP16, and what is told of memory follows them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.built import build, outcomes, recording, stored
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.cli.inspect_memory import memory_document
from videoscene_rt.engines.backends import open_backend
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.store.selection import selected_for
from videoscene_rt.engines.store.store import EngineStore


def test_caches_are_fp16_from_the_build_to_the_arena(published_bundle: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(published_bundle, tmp_path / "published.bundle"))
    recorder = recording(folder)
    report = build(folder, "fp16", recorder)
    report.check()
    bundle = Bundle.open(folder)
    for graph in report.graphs:
        gated = graph.gated
        if graph.graph in ("decode_next", "decode_first"):
            assert gated is not None
            assert gated.result is not None
            caches = {name for name in gated.result.worst if "cache" in name}
            assert caches == set(bundle.graph("decode_next").state), "compared with the FP32 reference, one by one"
    assert set(stored(folder, "decode_first").record.half) == caches
    assert set(stored(folder, "decode_next").record.half) == caches | set(bundle.graph("decode_next").state.values())
    assert stored(folder, "student").record.half == stored(folder, "encode_images").record.half == ()

    said = memory_document(bundle)
    backend = open_backend("onnxruntime", "fp16", 1, selected_for("onnxruntime", "fp16"))
    chain = Chain(plan_chain(bundle.manifest, streaming=True), bundle, backend, slots=2)
    assert said["onnxruntime/fp16"]["cache"] == chain.arena.by_role()["cache"]
    assert said["onnxruntime/fp32"]["cache"] > 1.8 * said["onnxruntime/fp16"]["cache"]

    store = EngineStore(folder)
    selected = store.selected()
    pair = selected.pairs["onnxruntime/fp16"]
    mixed = pair.model_copy(update={"graphs": {**pair.graphs, "decode_first": "source"}})
    store.select(selected.model_copy(update={"pairs": {"onnxruntime/fp16": mixed}}))
    with pytest.raises(
        BackendError, match=r"next_cache_00 of decode_first is float32, cache_00 of decode_next is float16"
    ):
        Chain(plan_chain(bundle.manifest), bundle, backend)
    said = memory_document(bundle)
    assert said["onnxruntime/fp16"]["cache"] == said["onnxruntime/fp32"]["cache"], (
        "what is refused is told as documented"
    )
    assert set(outcomes(build(folder, "fp16", recorder)).values()) == {"source", "reused"}
    Chain(plan_chain(bundle.manifest), bundle, open_backend("onnxruntime", "fp16", 1))
