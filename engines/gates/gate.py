"""The accuracy gate: what an engine computes against what the FP32 reference computed, scene by scene.

Every figure is kept, by scene and output; the verdict follows from them and the limits, now and later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from videoscene_rt.engines.activations import Arrays, GraphActivations
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.gates import Limits
from videoscene_rt.engines.gates.figures import Failure, Figures, comparators, judge_figures, measure


class GateResult(BaseModel):
    """Every figure of one engine, or of the chain, and the verdict.

    Attributes:
        graph, precision: what was gated; for the chain the precision is the ceiling.
        activations_sha256: which scenes and seeds; see `Activations.digest`.
        limits: what was asked for.
        scenes: figures by scene, then by output; the worst over the scene's calls.
        comparator: what computed the distances, with its version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    graph: str
    precision: str
    activations_sha256: str
    limits: Limits
    scenes: dict[str, Annotated[dict[str, Figures], Field(min_length=1)]] = Field(min_length=1)
    comparator: str

    @property
    def worst(self) -> dict[str, Figures]:
        """The worst figures of each output over all scenes."""
        worst: dict[str, Figures] = {}
        for outputs in self.scenes.values():
            for name, figures in outputs.items():
                worst[name] = figures if name not in worst else worst[name].worse(figures)
        return worst

    @property
    def overall(self) -> Figures:
        """The worst of each figure, for a table; relative_l2 is of the outputs that are no pictures, where there are any."""
        every = list(self.worst.values())
        total = every[0]
        for figures in every[1:]:
            total = total.worse(figures)
        numbers = [figures.relative_l2 for figures in every if figures.psnr is None]
        known = [number for number in numbers if number is not None]
        if not numbers:
            return total
        return total.model_copy(update={"relative_l2": max(known) if len(known) == len(numbers) else None})

    def failures(self, limits: Limits | None = None) -> tuple[Failure, ...]:
        """What is beyond the limits, in the order of scenes and outputs.

        Args:
            limits: others than those it was gated with.
        """
        asked = self.limits if limits is None else limits
        return tuple(
            failure
            for scene, outputs in self.scenes.items()
            for output, figures in outputs.items()
            for failure in judge_figures(scene, output, figures, asked)
        )

    @property
    def passed(self) -> bool:
        """Nothing is beyond its limit."""
        return not self.failures()


class Comparison(NamedTuple):
    """One call to compare: the scene's name, what the reference gave, and what the engine gives, when asked."""

    scene: str
    reference: Arrays
    candidate: Callable[[], Arrays]


def gate(
    run: Callable[[Arrays], Arrays], activations: GraphActivations, precision: str, limits: Limits, digest: str
) -> GateResult:
    """Run an engine over everything that was recorded of its graph, and compare.

    Args:
        run: inputs by name → outputs by name, on the engine.
        activations: what the reference read and wrote.
        precision: the engine's.
        limits: see `gates.limits`.
        digest: of the activations.

    Raises:
        BackendError: the engine fails, its outputs are not the graph's, or the reference itself is not finite.
    """
    calls = (
        Comparison(sample.scene, sample.outputs, lambda sample=sample: run(sample.inputs))  # type: ignore[misc]
        for sample in activations.samples
    )
    return compare(activations.graph, precision, calls, limits, digest)


def compare(graph: str, precision: str, calls: Iterable[Comparison], limits: Limits, digest: str) -> GateResult:
    """Compare call by call; see `gate`, which says what it raises."""
    comparator, distances = comparators()
    scenes: dict[str, dict[str, Figures]] = {}
    for scene, reference, candidate in calls:
        given = candidate()
        outputs = scenes.setdefault(scene, {})
        for name, expected in reference.items():
            found = _checked(graph, name, expected, given.get(name))
            if not np.isfinite(expected).all():
                raise BackendError(
                    f"graph {graph}: output {name} of the FP32 reference itself is not finite on {scene}",
                    "check the checkpoint that the bundle was exported from",
                )
            figures = measure(expected, found, distances)
            outputs[name] = outputs[name].worse(figures) if name in outputs else figures
    if not scenes:
        raise BackendError(f"graph {graph}: there is nothing to compare it on")
    return GateResult(
        graph=graph,
        precision=precision,
        activations_sha256=digest,
        limits=limits,
        scenes=scenes,
        comparator=comparator,
    )


def _checked(graph: str, name: str, expected: npt.NDArray[Any], found: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
    if found is None or (found.shape, found.dtype) != (expected.shape, expected.dtype):
        gives = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
        raise BackendError(
            f"graph {graph}: the engine gives {gives} for output {name}, which is {expected.dtype}{list(expected.shape)}"
        )
    return found
