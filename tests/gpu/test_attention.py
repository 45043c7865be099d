"""The attention kernel on a GPU, through NVRTC, against NumPy in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from videoscene_rt.engines.cuda.device import CudaDevice
from videoscene_rt.engines.cuda.memory import CudaMemory
from videoscene_rt.engines.kernels.attention import AttentionContext, AttentionEngine
from videoscene_rt.engines.kernels.attention_plan import HOPPER, AttentionSizes, AttentionTuning, HopperTuning, Tuning

pytestmark = pytest.mark.gpu

UNIT = 2.0**-11
POWERS_AND_SUMS = 2.5e-4
Array = npt.NDArray[np.float16]


class Rig:
    """An engine with memory bound to it."""

    def __init__(self, cuda: CudaDevice, sizes: AttentionSizes, tuning: Tuning | None = None) -> None:
        engine = AttentionEngine(cuda, sizes, tuning)
        self.cuda = cuda
        self.context: AttentionContext = engine.context()
        self.memory: dict[str, CudaMemory] = {}
        for tensor in (*engine.spec.inputs, *engine.spec.outputs):
            self.memory[tensor.name] = cuda.allocate(tensor.dtype, tensor.shape)
            self.context.bind(tensor.name, self.memory[tensor.name].view())

    def attend(self, feed: dict[str, Array]) -> Array:
        """Once, over an output of NaN."""
        for name, array in feed.items():
            self.memory[name].write(array)
        self.memory["out"].write(np.full(self.memory["out"].view().shape, np.nan, np.float16))
        self.context.enqueue()
        self.cuda.synchronize()
        return self.memory["out"].read()


def random_feed(sizes: AttentionSizes, seed: int, size: float = 1.0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"query": sizes.shape(sizes.queries), "key": sizes.shape(sizes.keys), "value": sizes.shape(sizes.keys)}
    scales = {"query": size, "key": size, "value": 1.0}
    return {n: (rng.standard_normal(shape) * scales[n]).astype(np.float16) for n, shape in shapes.items()}


def assert_right(found: Array, feed: dict[str, Array], sizes: AttentionSizes, rows: slice = slice(None)) -> None:
    """Within what rounding the weights and the output to float16 takes, and float32 between (kernels.md has the bound)."""
    query, key, value, out = (np.asarray(a, np.float64) for a in (feed["query"], feed["key"], feed["value"], found))
    if sizes.layout == "together":
        query, key, value, out = (a.transpose(0, 2, 1, 3) for a in (query, key, value, out))
    query, out = query[:, :, rows], out[:, :, rows]
    scores = query @ key.swapaxes(-1, -2) * sizes.scale
    largest = (np.abs(query) @ np.abs(key).swapaxes(-1, -2)).max(-1, keepdims=True) * sizes.scale
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    total = weights.sum(-1, keepdims=True)
    exact = weights / total @ value
    part = UNIT + POWERS_AND_SUMS + 2 * np.expm1(np.minimum(largest * 68 * 2.0**-24, 50))
    limit = part * (weights / total @ np.abs(value)) + 2.0**-25 / total * np.abs(value).sum(-2, keepdims=True)
    limit += UNIT * (np.abs(exact) + limit) + 2.0**-25
    assert (np.abs(out - exact) <= limit).all(), np.max(np.abs(out - exact) / limit)
    if largest.max() < 100:  # errors of many keys cancel: a lost tile would be within the limit, but not within this
        assert np.sqrt(np.mean((out - exact) ** 2)) <= 4 * UNIT * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("layout", ["apart", "together"])
@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 127, 129, 1000])
def test_random_tokens(cuda: CudaDevice, tokens: int, layout: str) -> None:
    sizes = AttentionSizes(2, 3, tokens, tokens, layout)  # type: ignore[arg-type]
    feed = random_feed(sizes, tokens)
    assert_right(Rig(cuda, sizes).attend(feed), feed, sizes)


@pytest.mark.parametrize("size", [0.0, 0.01, 5.0, 60.0])
def test_scores_of_every_size(cuda: CudaDevice, size: float) -> None:
    sizes = AttentionSizes(1, 2, 150, 333)
    feed = random_feed(sizes, 3, size)
    assert_right(Rig(cuda, sizes).attend(feed), feed, sizes)


def test_the_published_models_tokens(cuda: CudaDevice) -> None:
    sizes = AttentionSizes(1, 2, 17776, 17776, "together")
    feed = random_feed(sizes, 4)
    found = Rig(cuda, sizes).attend(feed)
    for rows in (slice(0, 8), slice(17768, 17776), slice(5000, 5016)):
        assert_right(found, feed, sizes, rows)


@pytest.mark.parametrize(
    "tuning",
    [
        AttentionTuning(),
        AttentionTuning(64, 64, 4, 2, 0, 4),
        AttentionTuning(128, 64, 4, 4),
        AttentionTuning(128, 32, 4, 3, 8),
        HopperTuning(),
        HopperTuning(3, 128, 4, 2),
        HopperTuning(2, 64, 5, 0),
    ],
)
def test_other_shapes(cuda: CudaDevice, tuning: Tuning) -> None:
    if isinstance(tuning, HopperTuning) and cuda.compute_capability != HOPPER:
        pytest.skip(f"for compute capability {HOPPER} alone")
    sizes = AttentionSizes(1, 3, 300, 301, "together")
    feed = random_feed(sizes, 5)
    assert_right(Rig(cuda, sizes, tuning).attend(feed), feed, sizes)


@pytest.mark.parametrize("tuning", [AttentionTuning(), AttentionTuning(64, 64, 4, 2, 0, 4), HopperTuning()])
def test_scores_far_below_zero(cuda: CudaDevice, tuning: Tuning) -> None:
    """All about -20,000: what a row begins with must be below them."""
    if isinstance(tuning, HopperTuning) and cuda.compute_capability != HOPPER:
        pytest.skip(f"for compute capability {HOPPER} alone")
    sizes = AttentionSizes(1, 1, 150, 333)
    feed = random_feed(sizes, 8, 0.5)
    feed["query"][..., 0], feed["key"][..., 0] = 400.0, -400.0
    assert_right(Rig(cuda, sizes, tuning).attend(feed), feed, sizes)


def test_captured_and_replayed_it_gives_the_same_bits(cuda: CudaDevice) -> None:
    sizes = AttentionSizes(1, 2, 257, 257)
    rig, feed = Rig(cuda, sizes), random_feed(sizes, 6)
    once = rig.attend(feed)
    stream = cuda.new_stream()
    replay = cuda.capture(stream, lambda: rig.context.enqueue(stream.handle))
    rig.memory["out"].write(np.full(once.shape, np.nan, np.float16))
    cuda.synchronize()
    for _ in range(3):
        replay(stream)
    stream.synchronize()
    assert np.array_equal(rig.memory["out"].read().view(np.uint16), once.view(np.uint16))


def test_nan_is_not_lost(cuda: CudaDevice) -> None:
    sizes = AttentionSizes(1, 1, 70, 70)
    feed = random_feed(sizes, 7)
    feed["key"][0, 0, 66, 5] = np.nan
    assert not np.isfinite(Rig(cuda, sizes).attend(feed)).any()
