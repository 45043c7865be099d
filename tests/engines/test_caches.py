"""Which tensors of a chunk's graph are caches, and which types an engine of it may have them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.caches import as_built, caches_of, narrowed


@pytest.fixture
def published(published_bundle: Path) -> Bundle:
    return Bundle.open(published_bundle)


def test_the_first_chunks_outputs_become_the_next_ones_inputs(published: Bundle) -> None:
    graphs = published.manifest.graphs
    first, following = caches_of(graphs, "decode_first"), caches_of(graphs, "decode_next")
    assert first is not None
    assert following is not None
    assert first.reader == following.reader == "decode_next"
    assert first.sources == graphs["decode_next"].state
    assert following.sources == {**{name: name for name in first.sources.values()}, **first.sources}
    assert set(first.sources) == {tensor.name for tensor in graphs["decode_first"].outputs} - {"frames"}
    assert first.of({"cache_03"}) == ("next_cache_03",)
    assert following.of({"cache_03"}) == ("cache_03", "next_cache_03")


def test_what_is_no_chunk_has_none(published: Bundle, small_bundle: Path) -> None:
    assert caches_of(published.manifest.graphs, "encode_images") is None
    assert caches_of(Bundle.open(small_bundle).manifest.graphs, "decode_stream") is None, (
        "its memory keeps its documented type"
    )
    alone = {"decode_first": published.graph("decode_first")}
    assert caches_of(alone, "decode_first") is None


def test_an_engine_may_have_its_caches_in_fp16_and_nothing_else(published: Bundle) -> None:
    documented = published.graph("decode_next")
    built = as_built(published, "decode_next", {"cache_01", "next_cache_01", "latent"})
    changed = [
        tensor.name
        for tensor, before in zip(
            (*built.inputs, *built.outputs), (*documented.inputs, *documented.outputs), strict=True
        )
        if tensor != before
    ]
    assert changed == ["cache_01", "next_cache_01"]
    assert built.input("cache_01").dtype == built.output("next_cache_01").dtype == "float16"
    assert built.input("cache_01").shape == documented.input("cache_01").shape
    assert as_built(published, "student", {"z_r"}) == published.graph("student")
    assert narrowed(documented, ()) is documented
