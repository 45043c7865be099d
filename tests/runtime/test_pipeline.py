"""The pipeline: the whole step against the published one in torch, and what it promises its callers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.scenes import scene
from videoscene_rt import InputError, Pipeline
from videoscene_rt.chain.noise import draw_noise
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.export.chain_parity import published_modules
from videoscene_rt.export.models import build_models
from videoscene_rt.export.parity import relative_l2
from videoscene_rt.export.reference import StepInputs, StepNoises, published_step


@pytest.fixture(scope="module")
def pipeline(small_bundle: Path) -> Pipeline:
    return Pipeline.load(small_bundle)


@pytest.mark.parametrize("bundle", ["small_bundle", "published_bundle"])
@pytest.mark.parametrize("mode", ["mean", "published"])
def test_a_step_is_the_published_step(request: pytest.FixtureRequest, bundle: str, mode: str) -> None:
    """Pipeline on ONNX Runtime against plain torch and diffusers, from the coarse frames on, with the same noise."""
    folder: Path = request.getfixturevalue(bundle)
    manifest = Bundle.open(folder).manifest
    preset, constant = manifest.preset, None if bundle == "small_bundle" else 459
    models = build_models(preset, None, 0, constant)
    given = scene()
    with Pipeline.load(folder, seed=5, noise=mode) as pipeline:  # type: ignore[arg-type]
        result = pipeline.step(given).copy()
    noise = {name: torch.from_numpy(array) for name, array in draw_noise(preset, 5, mode).items()}  # type: ignore[arg-type]
    posteriors = noise["posterior_images"].permute(0, 2, 1, 3, 4)[:, None]
    reference = published_step(
        published_modules(models, preset),
        StepInputs(
            torch.from_numpy(result.coarse),
            torch.from_numpy(given.images[0]),
            torch.from_numpy(given.images[1]),
            models.prompt,
            result.timestep,
        ),
        StepNoises(
            video_posterior=noise["posterior_video"].permute(0, 2, 1, 3, 4),
            sigma=float(noise["sigma"][0]),
            first_eta=noise["eta"][:1],
            first_posterior=posteriors[0],
            last_eta=noise["eta"][1:],
            last_posterior=posteriors[1],
            epsilon=noise["noise"],
        ),
    )
    levels = ((reference["video"][0] / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 3, 0).numpy()
    assert relative_l2(result.frames, levels) <= 1e-4
    assert result.frames.std() > 1


def test_equal_input_gives_equal_bits(pipeline: Pipeline) -> None:
    first = pipeline.step(scene(), seed=1).copy()
    pipeline.step(scene(seed=9), seed=2)
    again = pipeline.step(scene(), seed=1)
    for name in ("frames", "coarse", "depth", "hole_mask"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert not np.array_equal(first.frames, pipeline.step(scene(), seed=2).frames)


def test_a_smaller_cloud_leaves_no_trace_of_a_larger_one(pipeline: Pipeline) -> None:
    small = scene(points=50)
    alone = pipeline.step(small).copy()
    pipeline.step(scene(points=3000, seed=4))
    after = pipeline.step(small)
    assert np.array_equal(alone.coarse, after.coarse)


def test_noise_stays_until_it_is_drawn_again(pipeline: Pipeline) -> None:
    first = pipeline.step(scene(), seed=11).frames.copy()
    assert np.array_equal(first, pipeline.step(scene()).frames)


def test_results_are_views_until_the_next_step(pipeline: Pipeline) -> None:
    result = pipeline.step(scene())
    kept = result.copy()
    address = result.frames.__array_interface__["data"][0]
    newer = pipeline.step(scene())
    with pytest.raises(InputError, match=r"step \d+ was given back for a later step") as caught:
        _ = result.frames
    assert "copy()" in (caught.value.remedy or "")
    assert np.array_equal(kept.frames, newer.frames)
    # Two slots take turns, so the one after that lies where the first did.
    assert pipeline.step(scene()).frames.__array_interface__["data"][0] == address


def test_frames_speak_dlpack(pipeline: Pipeline) -> None:
    frames = pipeline.step(scene()).frames
    tensor = torch.from_dlpack(frames)
    assert tensor.data_ptr() == frames.__array_interface__["data"][0]
    assert tensor.shape == (9, 32, 48, 3)


def test_a_step_says_what_it_did(pipeline: Pipeline) -> None:
    result = pipeline.step(scene(timestamp_ns=123), seed=3)
    step = result.step
    assert result.status == "ok"
    assert result.timestep in {99, 499, 899}
    assert (step.seed, step.num_points, step.scene_timestamp_ns) == (3, 2000, 123)
    assert list(step.timings_ms) == [
        "render", "encode", "encode_images", "policy", "student", "decode", "watch",
    ]  # fmt: skip
    assert 0 < sum(step.timings_ms.values()) <= step.duration_ms <= step.age_ms


def test_a_fixed_timestep_is_used(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle, timestep=123) as pipeline:
        assert pipeline.step(scene()).timestep == 123


@pytest.mark.parametrize("timestep", [-1, 1000])
def test_a_timestep_out_of_range_is_refused(small_bundle: Path, timestep: int) -> None:
    with pytest.raises(InputError, match="timestep"):
        Pipeline.load(small_bundle, timestep=timestep)


@pytest.mark.parametrize("capture", ["graph", 1, None])
def test_a_capture_that_there_is_not_is_refused(small_bundle: Path, capture: object) -> None:
    with pytest.raises(InputError, match='True, False or "device-launch"'):
        Pipeline.load(small_bundle, capture=capture)  # type: ignore[arg-type]


def test_holes_are_masked_and_in_the_background_colour(pipeline: Pipeline) -> None:
    result = pipeline.step(scene(points=20))
    holes = result.hole_mask == 1
    assert holes.any()
    assert not holes.all()
    assert (result.coarse[holes] == (10, 20, 30)).all()
    assert (result.depth[holes] == 0).all()
    assert (result.depth[~holes] > 0).all()


def test_a_cloud_over_the_limit_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(InputError, match="3,001 points; this preset's max_points is 3,000"):
        pipeline.step(scene(points=3001))


def test_a_trajectory_is_followed_and_its_length_checked(pipeline: Pipeline) -> None:
    poses = np.tile(np.eye(4, dtype=np.float32), (9, 1, 1))
    poses[:, 2, 3] = np.linspace(0, 1, 9)
    away = pipeline.step(scene(trajectory=poses)).copy()
    depths = [float(frame[frame > 0].mean()) for frame in away.depth]
    assert depths == sorted(depths)
    with pytest.raises(InputError, match="8 poses, but the preset makes 9 frames"):
        pipeline.step(scene(trajectory=poses[:8]))


def test_a_refused_step_changes_nothing_not_even_the_noise(pipeline: Pipeline) -> None:
    before = pipeline.step(scene(), seed=0).copy()
    short = np.tile(np.eye(4, dtype=np.float32), (8, 1, 1))
    wrong = {"world_to_camera": short.astype(np.float64)}
    for refused in (scene(points=3001), scene(trajectory=short), "scene", wrong):
        with pytest.raises(InputError):
            pipeline.step(refused, seed=1)  # type: ignore[arg-type]
    after = pipeline.step(scene())
    assert after.step.seed == 0
    assert after.step.number == before.step.number + 1
    assert np.array_equal(before.frames, after.frames)


def test_what_is_no_scene_and_no_seed_is_named(pipeline: Pipeline) -> None:
    with pytest.raises(InputError, match="scene must be a Scene, not str"):
        pipeline.step("x")  # type: ignore[arg-type]
    for seed in (1.5, "a", True, -1, 2**64):
        with pytest.raises(InputError, match=r"seed must be a whole number from 0 to 18446744073709551615, not"):
            pipeline.step(scene(), seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ({"seed": "a"}, "seed must be"),
        ({"seed": -1}, "seed must be"),
        ({"timestep": 1.5}, "timestep must be a whole number from 0 to 999, not 1.5"),
        ({"timestep": True}, "timestep must be"),
        ({"noise": "loud"}, "no noise 'loud'"),
        ({"threads": "2"}, "threads must be"),
        ({"backend": "abacus"}, "no backend 'abacus'"),
        ({"precision": 16}, "no precision 16"),
    ],
)
def test_a_wrong_argument_is_named_before_the_bundle_is_read(
    tmp_path: Path, arguments: dict[str, object], culprit: str
) -> None:
    with pytest.raises(InputError, match=culprit):
        Pipeline.load(tmp_path / "no bundle", **arguments)  # type: ignore[arg-type]


def test_a_bundle_must_be_a_path() -> None:
    with pytest.raises(InputError, match="bundle must be the path"):
        Pipeline.load(3)  # type: ignore[arg-type]


def test_numpys_integers_are_whole_numbers(small_bundle: Path) -> None:
    with Pipeline.load(small_bundle, seed=np.int64(3), timestep=np.int32(123)) as pipeline:  # type: ignore[arg-type]
        assert pipeline.step(scene(), seed=np.uint64(2**64 - 1)).step.seed == 2**64 - 1  # type: ignore[arg-type]


def test_a_tensor_of_the_chain_can_be_looked_at(pipeline: Pipeline) -> None:
    result = pipeline.step(scene(), seed=0)
    z_0 = pipeline.tensor("z_0")
    assert z_0.shape == (1, 3, 16, 4, 6)
    assert np.isfinite(z_0).all()
    assert np.array_equal(pipeline.tensor("coarse"), result.coarse)
    pipeline.step(scene(), seed=1)
    assert not np.array_equal(pipeline.tensor("z_0"), z_0), "a copy, not a view"
    assert int(pipeline.tensor("logits").argmax()) == [99, 499, 899].index(int(pipeline.tensor("timestep")[0]))
    with pytest.raises(InputError, match="no tensor 'reward'"):
        pipeline.tensor("reward")


def test_the_verification_tells_how_far_it_is(small_bundle: Path) -> None:
    told: list[tuple[int, int]] = []
    Pipeline.load(small_bundle, on_verified=lambda count, total: told.append((count, total))).close()
    total = sum(entry.bytes for entry in Bundle.open(small_bundle).manifest.files.values())
    assert sum(count for count, _ in told) == total
    assert {of for _, of in told} == {total}


def test_a_closed_pipeline_says_so(small_bundle: Path) -> None:
    pipeline = Pipeline.load(small_bundle)
    result = pipeline.step(scene())
    pipeline.close()
    pipeline.close()
    with pytest.raises(InputError, match="closed"):
        pipeline.step(scene())
    with pytest.raises(InputError, match="overwritten|closed"):
        _ = result.frames


def test_threads_take_turns(pipeline: Pipeline) -> None:
    scenes = [scene(seed=seed) for seed in range(4)]
    expected = [pipeline.step(one, seed=0).copy().frames for one in scenes]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(5):
            result = pipeline.step(scenes[index])
            try:
                frames = result.copy().frames
            except InputError:
                continue  # another thread stepped in between: refused, not wrong
            if not np.array_equal(frames, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
