"""Running the FP32 reference over scenes and keeping what every graph read and wrote: for calibration and for the gate.

The chain itself runs, on ONNX Runtime's CPU provider, behind a backend that looks on; where a bundle has two encoders or decoders, once
more with the others, for the graphs that only those call. Noise and seed differ from scene to scene,
the student also sees timesteps that the policy did not choose, and the streaming graphs, which the chain does not call, are
run over the same clips with the memory that they give themselves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from videoscene_rt.chain.chain import Chain
from videoscene_rt.chain.noise import NOISE_MODES, NoiseMode, draw_noise
from videoscene_rt.chain.observed import Call, ObservedBackend
from videoscene_rt.chain.plan import plan_chain
from videoscene_rt.chain.recording_scenes import SceneSource
from videoscene_rt.chain.scene_inputs import scene_inputs
from videoscene_rt.chain.streaming import stream_inputs
from videoscene_rt.engines.activations import Activations, Arrays, GraphActivations, Sample
from videoscene_rt.engines.building.trial import caller
from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.digest import text_sha256
from videoscene_rt.engines.engine import Backend
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import CHAIN
from videoscene_rt.engines.halves import Half, pairs
from videoscene_rt.engines.onnxruntime_engine import OnnxRuntimeBackend

CHAIN_OUTPUTS = ("timestep", "z_0", "frames")
"""What the whole step is gated on."""

_VERSION = "recording 1"
_MORE_TIMESTEPS = 2
_CALLS_A_SCENE = 3
_LARGE_CALL = 1 << 30
_LARGE_ARRAY = 64 << 20

OnProgress = Callable[[str], None]


class Recording:
    """The reference's activations over some scenes; call it to have them. Nothing runs before that.

    Args:
        bundle: whose graphs.
        sources: the scenes; see `scene_sources`.
        threads: of ONNX Runtime; None takes every core.
        on_progress: told what runs now.
    """

    def __init__(
        self,
        bundle: Bundle,
        sources: Sequence[SceneSource],
        threads: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self.scenes = tuple(source.name for source in sources)
        self.digest = text_sha256([_VERSION, bundle.digest, *(source.digest for source in sources)])
        self._bundle = bundle
        self._sources = tuple(sources)
        self._threads = threads
        self._on_progress: OnProgress = on_progress or (lambda what: None)
        self._inputs: list[Arrays] = []
        self._activations: Activations | None = None
        self._scratch: Path | None = None

    def __call__(self) -> Activations:
        """Run the reference over every scene, once; the same activations afterwards.

        Large arrays lie in files until `close`.

        Raises:
            InputError: a scene cannot be read.
            BackendError: ONNX Runtime is missing, or a graph fails.
        """
        if self._activations is None:
            self._activations = self._record()
        return self._activations

    def steps(self, backend: Backend) -> Iterator[tuple[str, Arrays]]:
        """Run the whole chain on a backend over the same scenes and seeds: scene → `CHAIN_OUTPUTS`."""
        chain = self._chain(backend)
        for index, name in enumerate(self.scenes):
            self._on_progress(f"the whole step on {name}")
            self._write(chain, index)
            chain.run()
            yield name, {output: chain.read(output).copy() for output in CHAIN_OUTPUTS}

    def close(self) -> None:
        """Let the activations and their files go."""
        self._activations = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None

    @property
    def _pairs(self) -> tuple[tuple[Half, Half], ...]:
        """The default encoder and decoder, and the others."""
        return pairs(self._bundle.manifest.encoders, self._bundle.manifest.decoders)

    def _chain(self, backend: Backend, pair: tuple[Half, Half] | None = None) -> Chain:
        encoder, decoder = pair or self._pairs[0]
        chain = Chain(plan_chain(self._bundle.manifest, encoder=encoder, decoders=(decoder,)), self._bundle, backend)
        chain.write("prompt", self._bundle.prompt())
        return chain

    def _write(self, chain: Chain, index: int) -> None:
        if not self._inputs:
            self._inputs = [scene_inputs(source.load(), self._bundle.manifest.preset) for source in self._sources]
        mode: NoiseMode = NOISE_MODES[index % len(NOISE_MODES)]
        for name, array in {
            **self._inputs[index],
            **draw_noise(self._bundle.manifest.preset, index, mode),
        }.items():
            chain.write(name, array)

    def _record(self) -> Activations:
        backend = ObservedBackend(OnnxRuntimeBackend(self._threads))
        chain = self._chain(backend)
        kept: dict[str, list[Sample]] = {name: [] for name in (*self._bundle.manifest.graphs, CHAIN)}
        for index, scene in enumerate(self.scenes):
            self._on_progress(f"the reference on {scene}")
            self._write(chain, index)
            chain.run()
            whole = {output: chain.read(output).copy() for output in CHAIN_OUTPUTS}
            kept[CHAIN].append(Sample(scene, {}, whole))
            calls = backend.take()
            self._on_progress(f"the reference's other calls on {scene}")
            for pair in self._pairs[1:]:
                calls += self._others(backend, pair, index, {call.graph for call in calls})
            more = (*self._more_timesteps(backend, calls, index), *self._streams(backend, chain, calls))
            for call in (*calls, *more):
                samples = kept[call.graph]
                if call.graph == "student" or _wanted(call, sum(sample.scene == scene for sample in samples)):
                    samples.append(Sample(scene, self._keep(call.inputs), self._keep(call.outputs)))
        graphs = {name: GraphActivations(name, tuple(samples)) for name, samples in kept.items()}
        missing = [name for name, found in graphs.items() if not found.samples]
        if missing:
            raise BackendError(f"the reference never calls graph {', '.join(missing)}: it cannot be gated")
        return Activations(graphs, self.digest, self.scenes)

    def _more_timesteps(self, backend: ObservedBackend, calls: Sequence[Call], index: int) -> list[Call]:
        """The student on the chain's own inputs at other candidates of the policy, which the scenes share out among them."""
        (student,) = (call for call in calls if call.graph == "student")
        chosen = int(student.inputs["timestep"][0])
        others = [t for t in self._bundle.manifest.policy.timesteps if t != chosen]
        run = caller(backend, backend.load(self._bundle, "student"))
        first = index * _MORE_TIMESTEPS
        for number in range(first, first + min(_MORE_TIMESTEPS, len(others))):
            run({**student.inputs, "timestep": np.array([others[number % len(others)]], np.int32)})
        return backend.take()

    def _others(self, backend: ObservedBackend, pair: tuple[Half, Half], index: int, known: set[str]) -> list[Call]:
        """The calls of graphs that only the chain of another encoder and decoder has."""
        chain = self._chain(backend, pair)
        self._write(chain, index)
        chain.run()
        return [call for call in backend.take() if call.graph not in known]

    def _streams(self, backend: ObservedBackend, chain: Chain, calls: Sequence[Call]) -> list[Call]:
        called = {call.graph for call in calls}
        for name, spec in self._bundle.manifest.graphs.items():
            if name in called:
                continue
            run = caller(backend, backend.load(self._bundle, name))
            memory = {
                source: np.zeros(spec.input(source).shape, spec.input(source).dtype) for source in spec.state.values()
            }
            for inputs in stream_inputs(spec, chain.read("coarse"), chain.read("z_0")):
                outputs = run({**inputs, **memory})
                memory = {source: outputs[output] for output, source in spec.state.items()}
        return backend.take()

    def _keep(self, arrays: Arrays) -> Arrays:
        return {name: self._spill(array) if array.nbytes >= _LARGE_ARRAY else array for name, array in arrays.items()}

    def _spill(self, array: np.ndarray) -> np.ndarray:
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="vsrt-activations-"))
        path = self._scratch / f"{len(list(self._scratch.iterdir()))}.npy"
        np.save(path, array)
        loaded: np.ndarray = np.load(path, mmap_mode="r")
        return loaded


def _wanted(call: Call, before: int) -> bool:
    size = sum(array.nbytes for array in (*call.inputs.values(), *call.outputs.values()))
    return before < (1 if size >= _LARGE_CALL else _CALLS_A_SCENE)
