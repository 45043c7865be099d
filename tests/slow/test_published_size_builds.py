"""TensorRT-RTX's parser and builder at the published width and size, which need no GPU: two DiT blocks and one decoder chunk.

Nothing is run: the two blocks' attention scores alone are 48 × 17,776² numbers for each. Parity at smaller sizes is proved elsewhere.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
import pytest
import torch

from videoscene_rt.engines.activations import Activations, GraphActivations, Sample
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.manifest import Manifest, PolicyInfo
from videoscene_rt.engines.precision import derive
from videoscene_rt.engines.preset import CogVideoXAutoencoderSizes, Preset
from videoscene_rt.engines.specs import GraphSpec, Parity
from videoscene_rt.engines.tensorrt.request import BuilderError, PlanRequest
from videoscene_rt.engines.tensorrt.supervisor import build_plan
from videoscene_rt.export.autoencoder_graphs import autoencoder_graphs
from videoscene_rt.export.cogvideox_autoencoder import build_cogvideox_autoencoder
from videoscene_rt.export.graph_source import GraphSource
from videoscene_rt.export.graphs import chain_graphs
from videoscene_rt.export.models import Models
from videoscene_rt.export.policy import ConstantPolicy
from videoscene_rt.export.presets import load_preset
from videoscene_rt.export.seeding import seed_weights
from videoscene_rt.export.student import build_transformer
from videoscene_rt.export.tracing import OPSET, trace
from videoscene_rt.export.weights import WeightFile

pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed")
pytestmark = pytest.mark.slow

WIDTH = 48 * 64
TOKENS = 226 + 13 * 30 * 45
SCORES = 48 * TOKENS**2  # attention's, of one block; two bytes each in FP16, four in FP32
LAYERS_PER_BLOCK = 6  # query, key, value, output, and the two of the feed-forward


def published() -> Preset:
    """The published student with two of its 42 blocks; everything else as it is."""
    preset = load_preset("videoscene-5b")
    return preset.model_copy(update={"student": preset.student.model_copy(update={"blocks": 2})})


def traced(preset: Preset, graph: str, folder: Path) -> Bundle:
    """One graph of a preset, with weights from seed 0, as a bundle that holds nothing else."""
    source = _source(preset, graph)
    trace(source, folder / f"{graph}.onnx", WeightFile(folder, f"weights_{source.weights}.bin"))
    spec = GraphSpec(
        name=graph,
        file=f"{graph}.onnx",
        opset=OPSET,
        inputs=source.inputs,
        outputs=source.outputs,
        state=source.state,
        parity=Parity(reference="not run", relative_l2={}, max_abs={}, limit=source.parity_limit),
    )
    policy = PolicyInfo(kind="constant", timesteps=preset.policy.timesteps, chosen=preset.policy.timesteps[0])
    return Bundle(folder, Manifest.model_construct(preset=preset, graphs={graph: spec}, policy=policy))


def _source(preset: Preset, graph: str) -> GraphSource:
    """Only the model that the graph needs has numbers; the other stays on the meta device."""
    sizes = preset.autoencoder
    assert isinstance(sizes, CogVideoXAutoencoderSizes)
    with torch.device("cpu" if graph == "student" else "meta"):
        transformer = build_transformer(preset)
    with torch.device("meta" if graph == "student" else "cpu"):
        autoencoder = build_cogvideox_autoencoder(sizes, preset.height, preset.width)
    if graph == "student":
        seed_weights(transformer, 0, "transformer.")
    else:
        seed_weights(autoencoder, 0, "autoencoder.")
    policy = ConstantPolicy(preset.policy.timesteps, preset.policy.timesteps[0])
    models = Models(transformer, autoencoder, policy, torch.zeros(1), {})
    sources = chain_graphs(models, preset) if graph == "student" else autoencoder_graphs(models, preset)
    return next(source for source in sources if source.name == graph)


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """1.4 GiB of weights, gone when the module is done."""
    folder = tmp_path_factory.mktemp("student")
    yield traced(published(), "student", folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def decode_first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    """3 latent frames of 60×90 to 9 frames of 480×720."""
    folder = tmp_path_factory.mktemp("decode_first")
    yield traced(published(), "decode_first", folder)
    shutil.rmtree(folder)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Path]:
    """A folder for gigabytes, gone after the test."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@dataclass(frozen=True)
class Built:
    """Bytes of a plan, and of the device memory that it says it wants for activations."""

    plan: int
    activations: int


def built(onnx_file: Path, precision: Literal["fp32", "fp16", "int8"], workspace_mib: int | None = None) -> Built:
    """Build: the plan is whole and came through at the first attempt."""
    plan = onnx_file.with_suffix(".plan")
    result = build_plan(PlanRequest(onnx_file, plan, "tensorrt_rtx", precision, workspace_mib=workspace_mib))
    assert [tried.outcome for tried in result.tried] == ["built"]
    with plan.open("rb") as file:
        head = file.read(24)
    size = plan.stat().st_size
    assert head[:4] == b"vtrt"
    assert int.from_bytes(head[16:24], "little") == size
    said = re.search(r"Total Activation Memory: (\d+) bytes", "\n".join(result.messages))
    assert said, result.messages
    return Built(size, int(said.group(1)))


def weights_of(onnx_file: Path, at_least: int = 1 << 20) -> dict[str, tuple[int, ...]]:
    """Name → shape of the large weights."""
    model = onnx.load(onnx_file, load_external_data=False)
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return {name: shape for name, shape in shapes.items() if torch.Size(shape).numel() >= at_least}


def test_two_blocks_of_the_student_build_in_fp16(student: Bundle, room: Path) -> None:
    spec = student.graph("student")
    assert spec.input("z_r").shape == (1, 13, 16, 60, 90)
    assert spec.input("prompt").shape == (1, 226, 4096)
    path = derive(student, "student", "fp16", None, room / "student.onnx").path
    matrices = [shape for name, shape in weights_of(path).items() if name.endswith(".fp16")]
    assert matrices.count((WIDTH, WIDTH)) == 8  # 4 of attention in each of two blocks
    assert matrices.count((WIDTH, 4 * WIDTH)) == matrices.count((4 * WIDTH, WIDTH)) == 2
    stored = (room / "student.onnx.data").stat().st_size
    result = built(path, "fp16")
    assert result.plan > 0.9 * stored, "the plan holds the weights"
    assert result.activations < 2 * SCORES // 10, "attention is fused: the scores are never stored"


def test_two_blocks_of_the_student_build_in_int8(student: Bundle, room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranges are made up: the reference that would be calibrated does not fit in memory. The builder does not mind."""
    module = "videoscene_rt.engines.precision.derivation"
    seen: list[str] = []

    def ranges(path: Path, names: list[str], *_: object) -> dict[str, float]:
        seen.extend(names)
        return dict.fromkeys(names, 8.0)

    monkeypatch.setattr(f"{module}.activation_ranges", ranges)
    monkeypatch.setattr(f"{module}.wide_activations", _nothing_is_wide)
    calls = {"student": GraphActivations("student", (Sample("made up", {}, {}),))}
    path = derive(student, "student", "int8", Activations(calls, "", ("made up",)), room / "student.onnx").path
    assert seen
    folded = [name for name in weights_of(path) if name.endswith(".int8")]
    assert len(folded) == 2 * LAYERS_PER_BLOCK
    stored = (room / "student.onnx.data").stat().st_size
    result = built(path, "int8")
    assert result.plan > 0.9 * stored
    assert result.activations < 2 * SCORES // 10


def test_two_blocks_of_the_student_in_fp32_want_a_larger_workspace(student: Bundle, room: Path) -> None:
    """In FP32 attention is not fused, and the scores do not fit into the 64 GiB that the builder takes by itself."""
    path = derive(student, "student", "fp32", None, room / "student.onnx").path
    with pytest.raises(BuilderError, match=r"student\.onnx: tensorrt_rtx 1\.\S+: its builder fails: .*OutOfMemory"):
        built(path, "fp32")
    assert not path.with_suffix(".plan").exists()
    stored = (room / "student.onnx.data").stat().st_size
    result = built(path, "fp32", workspace_mib=256 << 10)
    assert result.plan > 0.9 * stored
    assert result.activations > 4 * SCORES


def _nothing_is_wide(*_: object) -> dict[str, str]:
    return {}


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_decoder_chunk_builds(precision: Literal["fp16", "fp32"], decode_first: Bundle, room: Path) -> None:
    spec = decode_first.graph("decode_first")
    assert spec.input("latent").shape == (1, 3, 16, 60, 90)
    assert spec.output("frames").shape == (9, 480, 720, 3)
    path = derive(decode_first, "decode_first", precision, None, room / "decode_first.onnx").path
    shapes = weights_of(path)
    assert (512, 512, 3, 3, 3) in shapes.values()
    assert all(name.endswith(".fp16") for name in shapes) == (precision == "fp16")
    stored = (room / "decode_first.onnx.data").stat().st_size
    assert built(path, precision).plan > 0.9 * stored
