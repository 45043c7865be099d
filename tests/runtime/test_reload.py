"""Another bundle between two steps: nothing lost or mixed, nothing changed where it cannot be, nothing left behind."""

from __future__ import annotations

import gc
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.faults.damage import certify
from tests.support.scenes import scene
from tests.support.simulated_device import HashBackend, Work
from tests.support.slow_backend import WorkingDevice, pipeline_over
from videoscene_rt import InputError, Ladder, Pipeline, VsrtError, in_use
from videoscene_rt import pipeline as pipeline_module
from videoscene_rt.engines.errors import BackendError

NAMES = ("frames", "coarse", "depth", "hole_mask")


def changed(bundle: Path, out: Path, weights: str, change: Callable[[np.ndarray], object]) -> Path:
    """A whole bundle with other weights: its manifest has their digest."""
    shutil.copytree(bundle, out)
    path = out / weights
    values = np.frombuffer(path.read_bytes(), np.float32).copy()
    change(values)
    path.write_bytes(values.tobytes())
    certify(out, weights)
    return out


@pytest.fixture(scope="module")
def other_bundle(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same preset with another decoder."""
    out = tmp_path_factory.mktemp("other") / "other.bundle"
    return changed(small_bundle, out, "weights_autoencoder.bin", lambda values: np.multiply(values, 1.05, out=values))


@pytest.fixture
def pipeline(small_bundle: Path) -> Iterator[Pipeline]:
    with Pipeline.load(small_bundle, seed=3, ladder=Ladder()) as pipeline:
        yield pipeline


def frames_of(bundle: Path, number: int, seed: int = 3) -> np.ndarray:
    with Pipeline.load(bundle, seed=seed) as pipeline:
        return pipeline.step(scene(seed=number)).copy().frames


def test_the_next_step_is_the_new_bundles(pipeline: Pipeline, small_bundle: Path, other_bundle: Path) -> None:
    first = pipeline.step(scene(seed=1))
    assert np.array_equal(first.frames, frames_of(small_bundle, 1))
    pipeline.reload(other_bundle)
    assert np.array_equal(first.frames, frames_of(small_bundle, 1)), "what is held stays until the next step"
    second = pipeline.step(scene(seed=1))
    assert np.array_equal(second.frames, frames_of(other_bundle, 1))
    assert not np.array_equal(second.frames, frames_of(small_bundle, 1))
    assert (second.step.number, second.step.seed, second.step.reloads) == (1, 3, 1)
    assert pipeline.bundle.folder == other_bundle
    assert pipeline.counters.reloads == 1
    with pytest.raises(InputError, match="given back for a later step"):
        _ = first.frames
    assert pipeline.step(scene(seed=1), deadline=60.0).status == "ok"


def test_what_is_not_given_stays_and_so_do_the_seed_and_what_is_bound(
    pipeline: Pipeline, other_bundle: Path, small_bundle: Path
) -> None:
    mine = scene(seed=5)
    xyz = np.zeros((pipeline.preset.max_points, 3), np.float32)
    xyz[: mine.num_points] = mine.xyz
    pipeline.step(mine, seed=9)
    pipeline.bind("xyz", xyz)
    pipeline.reload(other_bundle)
    result = pipeline.step({"num_points": mine.num_points})
    assert result.step.seed == 9
    assert np.array_equal(result.frames, frames_of(other_bundle, 5, seed=9))
    xyz[:, 2] += 100
    assert (pipeline.step({"num_points": mine.num_points}).depth > 50).any(), "the bound memory is read in place"


def test_a_step_under_way_ends_with_its_own_bundle(pipeline: Pipeline, small_bundle: Path, other_bundle: Path) -> None:
    expected = {0: frames_of(small_bundle, 2), 1: frames_of(other_bundle, 2)}
    with pipeline.submit(scene(seed=2)) as held:
        pipeline.reload(other_bundle)
        with pipeline.submit(scene(seed=2)) as later:
            assert np.array_equal(later.result().frames, expected[1])
        assert np.array_equal(held.result().frames, expected[0])
        assert (held.result().step.reloads, later.result().step.reloads) == (0, 1)


def test_steps_of_other_threads_are_never_lost_or_mixed(
    pipeline: Pipeline, small_bundle: Path, other_bundle: Path
) -> None:
    bundles = [small_bundle, other_bundle]
    expected = [[frames_of(bundle, number) for number in range(3)] for bundle in bundles]
    wrong: list[Any] = []
    numbers: list[int] = []
    stop = threading.Event()

    def work() -> None:
        try:
            turn = 0
            while not stop.is_set():
                turn += 1
                with pipeline.submit(scene(seed=turn % 3)) as handle:
                    result = handle.result()
                    numbers.append(result.step.number)
                    if not np.array_equal(result.frames, expected[result.step.reloads % 2][turn % 3]):
                        wrong.append((result.step.number, result.step.reloads))
        except Exception as error:  # in a thread it would be lost
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(5):
        pipeline.reload(bundles[(number + 1) % 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(numbers) == list(range(len(numbers))), "every number once"
    assert len(numbers) > 8


def damaged(bundle: Path, out: Path) -> Path:
    """One bit of the student's weights is another."""
    shutil.copytree(bundle, out)
    largest = max(out.rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    return out


def failing(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def fail(*_: Any) -> None:
        raise BackendError(f"{what} fails")

    monkeypatch.setattr(in_use if what == "take_over" else pipeline_module, what, fail)


@pytest.mark.parametrize("fault", ["missing", "damaged", "self_test", "check_same_sizes", "take_over", "other sizes"])
def test_what_cannot_be_swapped_in_leaves_the_old_one_as_it_was(
    pipeline: Pipeline,
    small_bundle: Path,
    other_bundle: Path,
    published_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    pipeline.step(scene(seed=1))
    bundle = other_bundle
    if fault == "missing":
        bundle = tmp_path / "nowhere"
    elif fault == "damaged":
        bundle = damaged(other_bundle, tmp_path / "damaged.bundle")
    elif fault == "other sizes":
        bundle = published_bundle
    else:
        failing(monkeypatch, fault)
    with pytest.raises(VsrtError) as caught:
        pipeline.reload(bundle)
    assert "\n" not in str(caught.value.problem)
    if fault == "other sizes":
        assert "this pipeline's is" in caught.value.problem
    again = pipeline.step({"num_points": 2000})
    assert np.array_equal(again.frames, frames_of(small_bundle, 1))
    assert (again.step.number, again.step.reloads) == (1, 0)
    monkeypatch.undo()
    pipeline.reload(other_bundle)
    assert np.array_equal(pipeline.step({"num_points": 2000}).frames, frames_of(other_bundle, 1)), "a retry works"


def test_a_bundle_whose_student_is_not_finite_fails_its_self_test(
    pipeline: Pipeline, small_bundle: Path, tmp_path: Path
) -> None:
    bundle = changed(small_bundle, tmp_path / "nan.bundle", "weights_student.bin", lambda values: values.fill(np.nan))
    with pytest.raises(BackendError, match=r"self-test failed: z_0: [\d,]+ values are not finite"):
        pipeline.reload(bundle)
    assert pipeline.step(scene()).status == "ok"


def test_a_held_result_in_memory_of_yours_is_not_written_over(small_bundle: Path, other_bundle: Path) -> None:
    """Both bundles write there: the new one's first step waits until the old one's last is given back."""
    with Pipeline.load(small_bundle, slots=1, seed=3, threads=1) as pipeline:
        preset = pipeline.preset
        mine = np.zeros((preset.frames, preset.height, preset.width, 3), np.uint8)
        pipeline.bind("frames", mine)
        held = pipeline.submit(scene(seed=1))
        expected = held.result().frames.copy()
        pipeline.reload(other_bundle)
        with pytest.raises(BackendError, match="held by a handle that was not released"):
            pipeline.submit(scene(seed=2), timeout=0.1)
        assert np.array_equal(held.result().frames, expected)
        held.release()
        pipeline.step(scene(seed=2))
        assert np.array_equal(mine, frames_of(other_bundle, 2))


@pytest.mark.parametrize("how", ["step", "close"])
def test_a_bundle_lives_until_what_the_device_runs_of_it_has_ended(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Its handle was given back at once, and nothing watches: memory that is still written to is nobody's before that."""
    device = WorkingDevice(0, 0)
    with pipeline_over(HashBackend(device, {}), small_bundle, monkeypatch) as pipeline:
        old = weakref.ref(pipeline.chain)
        new = pipeline_over(HashBackend(device, {}), small_bundle, monkeypatch)
        pipeline.submit(scene()).release()
        gate = device.event()
        gate.recorded = 1
        lane: Any = pipeline.chain.lanes[0]
        lane.queue.appendleft(Work("wait", event=gate, count=1))
        pipeline._swap(new)
        gc.collect()
        assert old() is not None, "the step runs"
        gate.reached = 1
        if how == "step":
            device.synchronize()
            pipeline.step(scene())
            gc.collect()
            assert old() is None
        else:
            pipeline.close()
            assert not lane.queue


def test_a_decoder_that_calls_may_name_stays(both_bundle: Path, published_bundle: Path) -> None:
    with Pipeline.load(both_bundle, decoder="both", threads=1) as pipeline:
        with pytest.raises(InputError, match="the new bundle has no decoder 'tiny'"):
            pipeline.reload(published_bundle)
        assert pipeline.step(scene(), decoder="tiny").step.rung == "tiny"


def test_a_decoder_is_looked_up_in_the_bundle_that_runs_the_step(both_bundle: Path, published_bundle: Path) -> None:
    """The call comes before the other bundle, and its step begins after it."""
    with Pipeline.load(published_bundle, threads=1) as pipeline:
        held = [pipeline.submit(scene()) for _ in range(2)]
        found: list[str] = []

        def call(decoder: Any) -> None:
            with pipeline.submit(scene(), decoder=decoder, timeout=None) as handle:
                found.append(handle.result().step.rung)

        waiting = threading.Thread(target=call, args=("full",))
        waiting.start()
        pipeline.reload(both_bundle)
        waiting.join(60)
        assert found == ["full"]
        for handle in held:
            handle.release()


def test_a_closed_pipeline_is_not_reloaded(small_bundle: Path) -> None:
    pipeline = Pipeline.load(small_bundle)
    pipeline.close()
    with pytest.raises(InputError, match="closed"):
        pipeline.reload(small_bundle)


def test_closing_waits_for_a_reload_and_closes_what_it_brought(small_bundle: Path, other_bundle: Path) -> None:
    pipeline = Pipeline.load(small_bundle, ladder=Ladder())
    pipeline.step(scene(), deadline=60.0)
    begun, go_on = threading.Event(), threading.Event()

    def told(*_: int) -> None:
        begun.set()
        assert go_on.wait(60)

    reloading = threading.Thread(target=pipeline.reload, args=(other_bundle, told))
    reloading.start()
    assert begun.wait(60)
    closing = threading.Thread(target=pipeline.close)
    closing.start()
    go_on.set()
    for thread in (reloading, closing):
        thread.join(60)
        assert not thread.is_alive()
    with pytest.raises(InputError, match="the pipeline is closed"):
        pipeline.step(scene())
    assert pipeline.bundle.folder == other_bundle


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("count", [12, pytest.param(1000, marks=pytest.mark.slow)])
def test_reloads_leave_nothing_behind(small_bundle: Path, count: int) -> None:
    """Old chains go at once, without Python's collector of cycles; and memory, threads and files stay where they were."""
    chains: list[weakref.ref[Any]] = []
    samples = []
    with Pipeline.load(small_bundle, ladder=Ladder()) as pipeline:
        gc.collect()
        gc.disable()
        try:
            for turn in range(count):
                chains.append(weakref.ref(pipeline.chain))
                pipeline.reload(small_bundle)
                assert pipeline.step(scene()).step.number == turn
                assert sum(chain() is not None for chain in chains) == 0, turn
                if turn % (count // 10) == count // 10 - 1:
                    gc.collect()  # pydantic's and onnxruntime's own cycles
                    samples.append((resident(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))))
        finally:
            gc.enable()
    memory, threads, files = (list(values) for values in zip(*samples, strict=True))
    assert len(set(files[1:])) == 1
    assert max(threads[1:]) <= threads[0] + 1
    # Half of the run may settle; after it nothing grows by as much as one more chain a tenth of the run would take.
    assert memory[-1] - memory[len(memory) // 2] < 16 * 2**20
