"""Streams on the CPU: the frames are the step's, chunk by chunk; and what happens when somebody leaves, fails, closes or begins another."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.support.scenes import scene
from videoscene_rt import BackendError, InputError, Pipeline
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.frame_stream import Frames


@pytest.fixture(scope="module")
def published(published_bundle: Path) -> Pipeline:
    return Pipeline.load(published_bundle, threads=1)


@pytest.fixture(scope="module")
def small(small_bundle: Path) -> Pipeline:
    return Pipeline.load(small_bundle, threads=1)


@pytest.fixture(scope="module")
def both(both_bundle: Path) -> Pipeline:
    return Pipeline.load(both_bundle, threads=1, decoder="both")


def streamed(pipeline: Pipeline, given: Any, **options: Any) -> np.ndarray:
    with pipeline.stream(given, **options) as stream:
        return np.concatenate([frames.copy() for frames in stream])


def session(bundle: Path, graph: str) -> onnxruntime.InferenceSession:
    path = str(Bundle.open(bundle).graph_path(graph))
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_a_stream_of_the_published_decoder_is_the_step_bit_for_bit(published: Pipeline) -> None:
    whole = published.step(scene()).copy()
    with published.stream(scene()) as stream:
        chunks = list(stream)
        assert [(frames.first, frames.stop, len(frames)) for frames in chunks] == [(0, 9, 9), (9, 17, 8)]
        assert all(frames.status == "ok" for frames in chunks)
        assert np.array_equal(np.concatenate([frames.array for frames in chunks]), whole.frames)
        result = stream.result()
        for name in ("frames", "coarse", "depth", "hole_mask"):
            assert np.array_equal(getattr(result, name), getattr(whole, name)), name
        assert result.timestep == whole.timestep


def test_a_stream_of_the_tiny_decoder_is_the_step_within_a_level(small: Pipeline, small_bundle: Path) -> None:
    """And exactly what its streaming graph gives a latent frame at a time, the first three frames dropped."""
    whole = small.step(scene()).copy().frames
    found = streamed(small, scene())
    assert np.abs(found.astype(int) - whole.astype(int)).max() <= 1
    run, spec = session(small_bundle, "decode_stream"), Bundle.open(small_bundle).graph("decode_stream")
    state = {name: np.zeros(spec.input(name).shape, np.float32) for name in spec.state.values()}
    names, frames = [tensor.name for tensor in spec.outputs], []
    z_0 = small.tensor("z_0")
    for index in range(z_0.shape[1]):
        outputs = dict(zip(names, run.run(names, {"latent": z_0[:, index : index + 1], **state}), strict=True))
        frames.append(outputs["frames"])
        state = {source: outputs[output] for output, source in spec.state.items()}
    assert np.array_equal(found, np.concatenate(frames)[3:])


def test_the_first_frames_are_a_figure_of_the_step(published: Pipeline) -> None:
    with published.stream(scene()) as stream:
        chunks = list(stream)
        step = stream.result().step
    times = [frames.ready_ms for frames in chunks]
    assert step.first_frames_ms is not None
    assert 0 < step.first_frames_ms <= times[1] <= step.duration_ms
    assert step.first_frames_ms == times[0]
    ok = published.counters.ok
    for _ in published.stream(scene()):
        pass
    assert published.counters.ok == ok + 1, "a stream that was read to its end is a step"
    assert published.step(scene()).step.first_frames_ms is None


def test_chunks_are_computed_while_the_caller_has_the_one_before(published: Pipeline) -> None:
    """The caller holds the first chunk and asks for nothing; the step ends all the same, and every frame is still to be had."""
    expected = published.step(scene()).copy().frames
    with published.stream(scene()) as stream:
        first = next(stream)
        assert np.array_equal(stream.result().frames, expected)
        assert np.array_equal(first.array, expected[:9])
        assert np.array_equal(next(stream).array, expected[9:])
        with pytest.raises(StopIteration):
            next(stream)


def test_either_decoder_and_encoder_of_a_bundle(both: Pipeline, both_bundle: Path) -> None:
    """Both loaded and chosen by the step; each as if it were alone; the tiny encoder's latents are its graph's."""
    assert both.decoders == ("full", "tiny")
    frames = {decoder: both.step(scene(), decoder=decoder).copy() for decoder in both.decoders}
    assert {name: result.step.rung for name, result in frames.items()} == {"full": "full", "tiny": "tiny"}
    z_0 = both.tensor("z_0")
    (tiny,) = session(both_bundle, "decode_clip").run(None, {"latent": z_0})
    assert np.array_equal(frames["tiny"].frames, tiny)
    assert not np.array_equal(frames["full"].frames, frames["tiny"].frames)
    assert np.array_equal(both.step(scene()).frames, frames["full"].frames)
    assert np.array_equal(streamed(both, scene()), frames["full"].frames)
    off = streamed(both, scene(), decoder="tiny").astype(int) - frames["tiny"].frames
    assert np.abs(off).max() <= 1
    with both.submit(scene(), decoder="tiny") as handle:
        assert np.array_equal(handle.result().frames, frames["tiny"].frames)
    for decoder in ("full", "tiny"):
        with Pipeline.load(both_bundle, threads=1, decoder=decoder) as alone:  # type: ignore[arg-type]
            assert alone.decoders == (decoder,)
            assert np.array_equal(alone.step(scene()).frames, frames[decoder].frames)
    with Pipeline.load(both_bundle, threads=1, encoder="tiny", streaming=False) as other:
        result = other.step(scene()).copy()
        (latent,) = session(both_bundle, "encode_clip").run(None, {"frames": result.coarse})
        np.testing.assert_allclose(other.tensor("z_r"), latent, rtol=1e-5, atol=1e-5)
        assert np.array_equal(result.coarse, frames["full"].coarse)


def test_what_is_not_there_is_refused_with_what_there_is(small_bundle: Path, both: Pipeline) -> None:
    with Pipeline.load(small_bundle, threads=1, streaming=False) as pipeline:
        with pytest.raises(InputError, match="loaded without streaming"):
            pipeline.stream(scene())
        for call in (pipeline.step, pipeline.submit, pipeline.stream):
            with pytest.raises(InputError, match="decoder 'full' is not loaded; tiny is"):
                call(scene(), decoder="full")  # type: ignore[operator]
    for half in ("encoder", "decoder"):
        with pytest.raises(InputError, match=f"the bundle has no {half} 'full'; it has tiny"):
            Pipeline.load(small_bundle, **{half: "full"})  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"there is no {half} 'large'"):
            Pipeline.load(small_bundle / "nothing", **{half: "large"})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the ladder chooses the decoder"):
        both.step(scene(), deadline=1.0, decoder="tiny")
    number = both.step(scene()).step.number
    with pytest.raises(InputError):
        both.stream("x")  # type: ignore[arg-type]
    assert streamed(both, scene()).shape[0] == 17, "nothing was held by the one that was refused"
    assert both.step(scene()).step.number == number + 2


def test_leaving_early_gives_the_slot_back_and_leaves_the_rest_out(published_bundle: Path) -> None:
    with Pipeline.load(published_bundle, threads=1, slots=1) as pipeline:
        expected = pipeline.step(scene(seed=1)).copy().frames
        for _ in range(3):
            for frames in pipeline.stream(scene(), timeout=5):
                assert frames.first == 0
                break
        assert np.array_equal(pipeline.step(scene(seed=1)).frames, expected)
        begun = pipeline.chain.slots[0].parts["stream.full"]
        runs: list[int] = []
        for number, program in enumerate(begun):
            launch = program.launch
            program.launch = lambda number=number, launch=launch: (runs.append(number), launch())[1]  # type: ignore[method-assign, misc]
        stream = pipeline.stream(scene(), timeout=5)
        stream.close()
        stream.close()
        assert len(runs) < len(begun), "nobody wanted the last chunk"
        with pytest.raises(InputError, match="the stream is closed"):
            next(stream)
        with pytest.raises(InputError, match="the stream is closed"):
            stream.result()
        assert np.array_equal(streamed(pipeline, scene(seed=1)), expected)


def test_a_callback_that_fails_ends_the_stream(published: Pipeline) -> None:
    seen: list[int] = []

    def callback(frames: Frames) -> None:
        seen.append(frames.first)
        raise ZeroDivisionError("mine")

    for _ in range(3):  # more often than there are slots
        stream = published.stream(scene(), timeout=5)
        with pytest.raises(ZeroDivisionError, match="mine"):
            stream.each(callback)
        assert stream.closed
    assert seen == [0, 0, 0]
    taken: list[np.ndarray] = []
    result = published.stream(scene()).each(lambda frames: taken.append(frames.copy()))
    assert np.array_equal(np.concatenate(taken), result.frames)


def test_closing_the_pipeline_closes_its_streams(published_bundle: Path) -> None:
    pipeline = Pipeline.load(published_bundle, threads=1)
    stream = pipeline.stream(scene())
    first = next(stream)
    pipeline.close()
    for call in (lambda: first.array, first.host, stream.__next__, stream.result):
        with pytest.raises(InputError, match="closed"):
            call()
    stream.close()
    with pytest.raises(InputError, match="the pipeline is closed"):
        pipeline.stream(scene())


def test_two_streams_at_once_and_a_third(published: Pipeline) -> None:
    scenes = [scene(seed=seed) for seed in range(2)]
    expected = [published.step(one).copy().frames for one in scenes]
    with published.stream(scenes[0]) as one, published.stream(scenes[1]) as two:
        with pytest.raises(BackendError, match="every slot is held"):
            published.stream(scenes[0], timeout=0)
        pairs = [(a.copy(), b.copy()) for b, a in zip(two, one, strict=True)]
        for number in range(2):
            assert np.array_equal(np.concatenate([pair[number] for pair in pairs]), expected[number])
    assert np.array_equal(published.step(scenes[0]).frames, expected[0])


def test_streams_of_several_threads_are_each_their_own(published: Pipeline) -> None:
    scenes = [scene(seed=seed) for seed in range(4)]
    expected = [published.step(one).copy().frames for one in scenes]
    found: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        with published.stream(scenes[index], timeout=None) as stream:
            found[index] = np.concatenate([frames.copy() for frames in stream])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(found[index], expected[index]) for index in found)


def test_frames_stay_until_the_next_step_and_copies_for_ever(published: Pipeline) -> None:
    chunks = list(published.stream(scene()))
    kept = [frames.copy() for frames in chunks]
    assert all(np.array_equal(a.array, b) for a, b in zip(chunks, kept, strict=True))
    expected = published.step(scene(seed=1)).copy().frames
    for frames in chunks:
        with pytest.raises(InputError, match="given back for a later step"):
            _ = frames.array
    assert not np.array_equal(np.concatenate(kept), expected)


def test_a_graph_that_fails_in_a_later_chunk(published: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = published.step(scene()).copy().frames

    def failing() -> dict[str, float]:
        raise BackendError("the graph decode_next failed")

    with monkeypatch.context() as patch:
        for slot in published.chain.slots:
            patch.setattr(slot.parts["stream.full"][2], "launch", failing)
        for _ in range(3):
            stream = published.stream(scene(), timeout=5)
            assert np.array_equal(next(stream).array, expected[:9])
            with pytest.raises(BackendError, match="decode_next failed"):
                next(stream)
            assert stream.closed
    assert np.array_equal(streamed(published, scene()), expected)


def test_what_is_not_finite_is_known_with_the_first_frames(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle, threads=1) as pipeline:
        noise = pipeline.chain.read("noise").copy()
        pipeline.chain.write("noise", np.full_like(noise, np.nan))
        with pipeline.stream(scene()) as stream:
            chunks = list(stream)
            assert {frames.status for frames in chunks} == {"invalid"}
            result = stream.result()
            assert result.status == "invalid"
            assert np.array_equal(np.concatenate([frames.array for frames in chunks]), result.coarse)
        pipeline.chain.write("noise", noise)
        assert {frames.status for frames in pipeline.stream(scene())} == {"ok"}
