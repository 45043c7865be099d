"""Nested phases become one fraction that only grows."""

from __future__ import annotations

from videoscene_rt.engines.tensorrt.log import reason
from videoscene_rt.engines.tensorrt.progress import Phases


def test_a_phase_counts_as_one_step_of_its_parent() -> None:
    told: list[tuple[str, float]] = []
    phases = Phases(lambda *step: told.append(step))
    phases.start("build", None, 4)
    phases.step("build", 0)
    phases.start("optimise", "build", 2)
    phases.step("optimise", 0)
    phases.start("fuse", "optimise", 10)
    phases.step("fuse", 4)
    phases.finish("fuse")
    phases.finish("optimise")
    phases.step("build", 1)
    phases.finish("build")
    assert told == [
        ("build", 0.0),
        ("build", 0.25),
        ("optimise", 0.375),
        ("fuse", (1 + (1 + 0.5) / 2) / 4),
        ("build", 0.5),
        ("build", 1.0),
    ]


def test_small_steps_are_not_told_one_by_one() -> None:
    told: list[tuple[str, float]] = []
    phases = Phases(lambda *step: told.append(step))
    phases.start("build", None, 100_000)
    for step in range(100_000):
        phases.step("build", step)
    assert 100 < len(told) < 250
    assert [fraction for _, fraction in told] == sorted(fraction for _, fraction in told)


def test_phases_out_of_order_do_no_harm() -> None:
    told: list[tuple[str, float]] = []
    phases = Phases(lambda *step: told.append(step))
    phases.step("never started", 3)
    phases.finish("never started")
    phases.start("a", "b", 0)
    phases.start("b", "a", 1)
    phases.step("a", 99)
    assert all(0 <= fraction <= 1 for _, fraction in told)


def test_a_reason_is_the_last_errors_in_one_line() -> None:
    errors = [
        "first",
        'ModelImporter.cpp:140: While parsing node number 5 [Concat -> "cat"]:',
        "ModelImporter.cpp:142: --- Begin node ---\nNode name: graph/Concat",
        "4: [network.cpp::validate::2971] Error Code 4: Internal Error",
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime\n(oops)",
        "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime\n(oops)",
    ]
    assert reason(errors) == (
        "first; 4: [network.cpp::validate::2971] Error Code 4: Internal Error; Error Code 1: Cuda Runtime (oops)"
    )
    assert reason([]) == ""
    assert len(reason(["x" * 5000])) < 1000
