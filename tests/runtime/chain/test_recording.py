"""What is recorded is what the reference reads and writes, for every graph, and is known by a digest beforehand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.engines.store.test_identity import retrained
from tests.support.built import recording, sources
from tests.support.data import require_motorcycle
from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.chain.recording import Recording
from videoscene_rt.chain.recording_scenes import scene_sources
from videoscene_rt.engines.activations import Activations
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend
from videoscene_rt.scenes.scene_folder import save_scene


@pytest.fixture(scope="module")
def small(small_bundle: Path) -> Activations:
    return recording(small_bundle)()


@pytest.fixture(scope="module")
def published(published_bundle: Path) -> Activations:
    return recording(published_bundle)()


@pytest.mark.parametrize("name", ["small", "published"])
def test_every_graph_is_recorded_on_every_scene_in_its_documented_types(
    request: pytest.FixtureRequest, name: str
) -> None:
    activations: Activations = request.getfixturevalue(name)
    bundle = Bundle.open(request.getfixturevalue(f"{name}_bundle"))
    assert set(activations.graphs) == {*bundle.manifest.graphs, CHAIN}
    for graph, spec in bundle.manifest.graphs.items():
        samples = activations.graph(graph).samples
        assert {sample.scene for sample in samples} == {"random-0", "random-1", "random-2"} == set(activations.scenes)
        for sample in samples:
            for specs, arrays in ((spec.inputs, sample.inputs), (spec.outputs, sample.outputs)):
                assert {t.name: (t.dtype, t.shape) for t in specs} == {
                    n: (a.dtype.name, a.shape) for n, a in arrays.items()
                }


@pytest.mark.parametrize("name", ["small", "published"])
def test_the_outputs_are_those_of_the_graphs_for_these_inputs(request: pytest.FixtureRequest, name: str) -> None:
    """Replayed in plain ONNX Runtime sessions: what was kept was not overwritten by a later stage."""
    activations: Activations = request.getfixturevalue(name)
    bundle = Bundle.open(request.getfixturevalue(f"{name}_bundle"))
    for graph in bundle.manifest.graphs:
        session = onnxruntime.InferenceSession(str(bundle.graph_path(graph)), providers=["CPUExecutionProvider"])
        for sample in activations.graph(graph).samples:
            found = session.run(list(sample.outputs), sample.inputs)
            for expected, array in zip(sample.outputs.values(), found, strict=True):
                limit = 1.01 if array.dtype == np.uint8 else 1e-4
                off = np.abs(array.astype(np.float64) - expected)
                assert (off <= limit + 1e-4 * np.abs(expected)).all(), graph


def test_the_step_is_the_pipelines(small: Activations, small_bundle: Path) -> None:
    for number, mode in ((0, "mean"), (1, "published")):
        with Pipeline.load(small_bundle, seed=number, noise=mode, threads=1) as pipeline:  # type: ignore[arg-type]
            result = pipeline.step(scene(seed=number))
            whole = small.graph(CHAIN).samples[number].outputs
            assert np.array_equal(whole["frames"], result.frames)
            assert int(whole["timestep"][0]) == result.timestep


def test_streams_run_over_the_clip_with_the_memory_they_give_themselves(small: Activations) -> None:
    """Independent of how it was recorded: a stream of the clip is the clip."""
    for name in small.scenes:

        def of(graph: str, scene: str = name) -> list:
            return [sample for sample in small.graph(graph).samples if sample.scene == scene]

        (clip,), steps = of("decode_clip"), of("decode_stream")
        frames = np.concatenate([step.outputs["frames"] for step in steps])[3:]
        assert np.abs(frames.astype(int) - clip.outputs["frames"].astype(int)).max() <= 1
        assert not any(array.any() for key, array in steps[0].inputs.items() if key.startswith("memory"))
        assert any(array.any() for key, array in steps[1].inputs.items() if key.startswith("memory"))
        (clip,), steps = of("encode_clip"), of("encode_stream")
        latent = np.concatenate([step.outputs["latent"] for step in steps], axis=1)
        np.testing.assert_allclose(latent, clip.outputs["latent"], rtol=1e-3, atol=1e-3)


def test_the_student_sees_timesteps_that_the_policy_did_not_choose(small: Activations, small_bundle: Path) -> None:
    candidates = set(Bundle.open(small_bundle).manifest.policy.timesteps)
    for name in small.scenes:
        samples = [sample for sample in small.graph("student").samples if sample.scene == name]
        assert {int(sample.inputs["timestep"][0]) for sample in samples} == candidates
        assert all(np.array_equal(sample.inputs["noise"], samples[0].inputs["noise"]) for sample in samples)


def test_noise_differs_from_scene_to_scene(small: Activations) -> None:
    noises = [sample.inputs["noise"] for sample in small.graph("student").samples[::3]]
    assert not np.array_equal(noises[0], noises[1])
    sigmas = {float(sample.inputs["sigma"][0]) for sample in small.graph("encode_images").samples}
    assert len(sigmas) == 2  # clean images, and the published code's


def test_the_digest_is_known_before_and_is_over_scenes_and_bundle(
    small_bundle: Path, tmp_path: Path, small: Activations
) -> None:
    bundle = Bundle.open(small_bundle)
    one = recording(small_bundle)
    assert one.digest == recording(small_bundle).digest == small.digest
    assert recording(small_bundle, first_seed=1).digest != one.digest
    assert Recording(bundle, sources()[::-1]).digest != one.digest
    other = retrained(small_bundle, tmp_path / "other.bundle", "weights_policy.bin")
    assert recording(other).digest != one.digest
    moved = shutil.copytree(small_bundle, tmp_path / "moved.bundle")
    assert recording(Path(moved)).digest == one.digest


def test_a_recording_runs_once_and_not_before_it_is_asked(small_bundle: Path) -> None:
    loaded: list[str] = []
    counted = tuple(
        type(source)(source.name, source.digest, lambda source=source: (loaded.append(source.name), source.load())[1])
        for source in sources()
    )
    record = Recording(Bundle.open(small_bundle), counted, threads=1)
    assert (record.scenes, loaded) == (("random-0", "random-1", "random-2"), [])
    first = record()
    assert record() is first
    steps = dict(record.steps(OnnxRuntimeBackend(1)))
    assert loaded == ["random-0", "random-1", "random-2"]
    for sample in first.graph(CHAIN).samples:
        for name, array in sample.outputs.items():
            assert np.array_equal(steps[sample.scene][name], array)


def test_large_arrays_lie_in_files_until_it_is_closed(
    small_bundle: Path, small: Activations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("videoscene_rt.chain.recording._LARGE_ARRAY", 1000)
    record = recording(small_bundle)
    spilled = record().graph("renderer").samples[0].inputs["xyz"]
    assert isinstance(spilled, np.memmap)
    file = Path(str(spilled.filename))
    assert np.array_equal(spilled, small.graph("renderer").samples[0].inputs["xyz"])
    assert file.exists()
    record.close()
    assert not file.exists()


def test_built_in_scenes_are_three_rooms_and_the_motorcycle_where_it_is(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = Bundle.open(small_bundle).manifest.preset
    monkeypatch.delenv("VSRT_DATA", raising=False)
    rooms = scene_sources(preset)
    assert len({source.digest for source in rooms}) == len({source.name for source in rooms}) == 3
    assert all(source.load().num_points <= preset.max_points for source in rooms)
    monkeypatch.setenv("VSRT_DATA", str(require_motorcycle()))
    *same, motorcycle = scene_sources(preset)
    assert [source.digest for source in same] == [source.digest for source in rooms]
    assert motorcycle.name == "motorcycle"
    assert motorcycle.load().num_points == preset.max_points


def test_the_users_scenes_are_used_and_rooms_fill_up(small_bundle: Path, tmp_path: Path) -> None:
    preset = Bundle.open(small_bundle).manifest.preset
    one = save_scene(scene(points=5000), tmp_path / "a" / "drive")
    other = save_scene(scene(seed=1), tmp_path / "b" / "drive")
    found = scene_sources(preset, [one, other])
    assert [source.name for source in found] == ["1-drive", "2-drive", "room-11"]
    assert found[0].load().num_points == preset.max_points
    again = save_scene(scene(points=5000), tmp_path / "c" / "again")
    found_once = scene_sources(preset, [one, other, one, again])
    assert [source.name for source in found_once] == ["1-drive", "2-drive", "room-11"], "a scene counts once"
    assert [source.built_in for source in found_once] == [False, False, True]
    assert len(scene_sources(preset, [one, other, one, other])) == 3

    digest = found[1].digest
    assert scene_sources(preset, [one, other])[1].digest == digest
    image = next(other.glob("*.png"))
    image.write_bytes(image.read_bytes() + b"\0")
    assert scene_sources(preset, [one, other])[1].digest != digest


def test_a_folder_that_is_no_scene_is_the_users_error(small_bundle: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(small_bundle)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        scene_sources(bundle.manifest.preset, [tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"scene\.json"):
        Recording(bundle, scene_sources(bundle.manifest.preset, [tmp_path / "empty"]), threads=1)()
