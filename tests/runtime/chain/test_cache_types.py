"""Caches in the type of the engines that were loaded: planned, bound, and refused where two engines do not fit together."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from videoscene_rt import BackendError
from videoscene_rt.chain.cache_types import typed_as_built
from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.noise import draw_noise
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.engines.precision import derive
from videoscene_rt.engines.store.located import Located, reference
from videoscene_rt.scenes.room import procedural_room

ENCODE, DECODE = ("encode_first", "encode_next"), ("decode_first", "decode_next")


@pytest.fixture(scope="module")
def bundle(published_bundle: Path) -> Bundle:
    return Bundle.open(published_bundle)


@pytest.fixture(scope="module")
def files(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The chunks' graphs in FP16."""
    folder = tmp_path_factory.mktemp("fp16")
    return {name: derive(bundle, name, "fp16", None, folder / f"{name}.onnx").path for name in (*ENCODE, *DECODE)}


def make(bundle: Bundle, files: dict[str, Path]) -> Chain:
    """A chain of these engines, and the bundle's own graphs where there are none."""

    def locate(_: Bundle, graph: str) -> Located:
        return Located("engine", files[graph]) if graph in files else reference(bundle, graph)

    return Chain(plan_chain(bundle.manifest, streaming=True), bundle, OnnxRuntimeBackend(1, locate))


def types(chain: Chain) -> set[tuple[str, str]]:
    """(half of the autoencoder, dtype) of the caches."""
    return {(buffer.name.partition("_")[0], buffer.dtype) for buffer in chain.plan.of_role("cache")}


def step(bundle: Bundle, chain: Chain) -> np.ndarray:
    """The refined frames of a room."""
    preset = bundle.manifest.preset
    room = procedural_room(preset.height, preset.width, 0, points=preset.max_points)
    for name, array in {**scene_inputs(room, preset), **draw_noise(preset, 0), "prompt": bundle.prompt()}.items():
        chain.write(name, array)
    chain.run()
    return chain.read("frames").copy()


def test_a_chain_of_fp16_engines_keeps_its_caches_in_half_the_memory(bundle: Bundle, files: dict[str, Path]) -> None:
    wide, half = make(bundle, {}), make(bundle, files)
    assert types(wide) == {("encode", "float32"), ("decode", "float32")}
    assert types(half) == {("encode", "float16"), ("decode", "float16")}
    before, after = wide.arena.by_role()["cache"], half.arena.by_role()["cache"]
    assert 0.5 * before <= after < 0.55 * before, "half, but for what each cache's place is rounded up by"
    others = [[buffer for buffer in chain.plan.buffers if buffer.role != "cache"] for chain in (wide, half)]
    assert others[0] == others[1]
    assert half.view("decode_cache_01_0").dtype == "float16"
    frames = [step(bundle, chain) for chain in (wide, half)]
    error = np.mean((frames[0].astype(np.float64) - frames[1]) ** 2)
    assert 10 * math.log10(255**2 / error) > 50
    half.write("noise", draw_noise(bundle.manifest.preset, 1)["noise"])  # what is streamed is not what lies there
    half.launch()
    whole = half.read("frames").copy()
    half.write("frames", np.zeros_like(whole))
    half.launch(way="stream.full")
    assert np.array_equal(half.read("frames"), whole)


def test_each_half_of_the_autoencoder_has_its_own(bundle: Bundle, files: dict[str, Path]) -> None:
    chain = make(bundle, {name: files[name] for name in DECODE})
    assert types(chain) == {("encode", "float32"), ("decode", "float16")}


@pytest.mark.parametrize("alone", [*ENCODE, *DECODE])
def test_engines_that_do_not_fit_together_are_refused(alone: str, bundle: Bundle, files: dict[str, Path]) -> None:
    verb = alone.partition("_")[0]
    words = rf"cache_00 of {verb}_(first|next) is float(16|32), (next_)?cache_00 of {verb}_(next|first) is float(32|16)"
    with pytest.raises(BackendError, match=words) as error:
        make(bundle, {alone: files[alone]})
    assert "--force" in (error.value.remedy or "")


def test_what_is_not_known_keeps_the_documented_type(bundle: Bundle) -> None:
    plan = plan_chain(bundle.manifest)
    assert typed_as_built(plan, {}) == plan
    assert typed_as_built(plan, bundle.manifest.graphs) == plan
