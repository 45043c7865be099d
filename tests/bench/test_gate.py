"""A record against another: like with like, and worse only where both limits are exceeded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.bench.records import record
from tests.bench.test_chain_table import FACTS
from videoscene_rt.bench.gate import LIMITS, Finding, Limit, gate, gate_table
from videoscene_rt.bench.record import Record, Statistics
from videoscene_rt.bench.step_facts import CostFacts, RateFacts, StreamFacts
from videoscene_rt.bench.surroundings import Host
from videoscene_rt.engines.errors import InputError

HOST = Host(system="Linux, Python 3.11.7", architecture="x86_64", processor="a processor", cores_usable=2)
COSTS = CostFacts(
    python_transient_bytes=100_000, python_blocks=4, bytecodes={"scene": 10_000}, step_over_chain=(1.02, 1.0, 1.05)
)
RATE = RateFacts(rate_hz=20, deadline_ms=50, arrivals=100, done=100, dropped=0, missed=0, overhead_us=1)


def made(p50: float = 2.0, who: dict[str, str] | None = None, **changes: Any) -> Record:
    values = np.full(700, p50)
    fields = {"chain": FACTS, "costs": COSTS, "rate": RATE, "host": HOST, **changes}
    series = {name: Statistics.of(values) for name in ("step.scene", "host", "enqueue", "rate.age", "rate.wait")}
    return record(values, {"graph": "chain", **(who or {})}, statistics=series, samples_us=None, **fields)


def worse(now: Record, before: Record, portable: bool = False) -> list[str]:
    return [finding.what for finding in gate(now, before, portable=portable) if finding.worse]


def test_the_same_is_not_worse() -> None:
    found = gate(made(), made())
    assert not any(finding.worse for finding in found)
    assert {"step.scene p50", "step.scene p99", "host p50", "arena", "step over the chain alone"} <= {
        f.what for f in found
    }
    assert all(f.what != "enqueue p50" for f in found), "on the CPU the call is the whole step"
    assert all("wait" not in f.what for f in found)


@pytest.mark.parametrize(
    ("before", "now", "flagged"),
    [
        (2.0, 2.2, True),
        (2.0, 2.05, False),  # 2.5 %
        (0.1, 0.115, False),  # 15 %, but 15 µs
        (0.1, 0.13, True),
        (2.0, 1.0, False),
    ],
)
def test_both_limits_must_be_exceeded(before: float, now: float, flagged: bool) -> None:
    assert ("step.scene p50" in worse(made(now), made(before))) is flagged


def test_what_grew_is_named_with_both_sides() -> None:
    now = made(3.0, costs=COSTS.model_copy(update={"bytecodes": {"scene": 12_000}}))
    words = {finding.what: finding.words for finding in gate(now, made()) if finding.worse}
    assert words["step.scene p50"] == "step.scene p50 3 ms, was 2 (+50.0%); allowed +5% or +0.02 ms"
    assert words["Python 3.11 instructions a step (scene)"].startswith(
        "Python 3.11 instructions a step (scene) 12,000 instructions, was 10,000 (+20.0%)"
    )
    table = gate_table(gate(now, made())).splitlines()
    assert table[2].endswith("**worse** |")
    assert not table[-1].endswith("**worse** |")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"who": {"bundle_sha256": "c" * 64}}, "bundle_sha256 was aaaa"),
        ({"who": {"precision": "fp16"}}, "precision was fp32, is fp16"),
        ({"who": {"engine": "engines:2"}}, "engine was graph:0, is engines:2"),
        ({"who": {"device": "another"}}, "device was a processor, is another"),
        ({"who": {"mode": "cuda-graph"}}, "mode was enqueue, is cuda-graph"),
        ({"rate": RATE.model_copy(update={"rate_hz": 10.0})}, "rate was 20.0, is 10.0"),
        ({"host": HOST.model_copy(update={"cores_usable": 8})}, "cores was 2, is 8"),
    ],
)
def test_unlike_records_are_a_recipe_mismatch(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"recipe mismatch: {words}") as caught:
        gate(made(**changes), made())
    assert caught.value.exit_code == 2


def test_portable_is_blind_to_the_machine_and_to_time() -> None:
    elsewhere = made(50.0, {"device": "another", "bundle_sha256": "c" * 64, "engine": "graph:1"})
    assert worse(elsewhere, made(), portable=True) == []
    assert all(finding.kind != "time" for finding in gate(elsewhere, made(), portable=True))
    heavier = elsewhere.model_copy(update={"costs": COSTS.model_copy(update={"step_over_chain": (1.4, 1.3, 1.5)})})
    assert worse(heavier, made(), portable=True) == ["step over the chain alone"]
    with pytest.raises(InputError, match="recipe mismatch: preset was small, is tiny"):
        gate(made(who={"preset": "tiny"}), made(), portable=True)


def test_instructions_of_another_python_are_not_compared() -> None:
    newer = made(
        host=HOST.model_copy(update={"system": "Linux, Python 3.13.1"}),
        costs=COSTS.model_copy(update={"bytecodes": {"scene": 99_000}}),
    )
    assert worse(newer, made()) == []


def test_the_memory_of_streams_is_held_against_such_memory_alone() -> None:
    larger = FACTS.model_copy(update={"arena_bytes": 3 * FACTS.arena_bytes + (1 << 20)})
    stream = StreamFacts(group=4, together=2, frames_per_second=1.0, how="streamed")
    assert worse(made(chain=larger), made()) == ["arena"]
    assert worse(made(chain=larger, stream=stream), made()) == []
    assert worse(made(chain=larger, stream=stream), made(stream=stream)) == ["arena, streams with it"]


def test_a_rate_that_is_met_less_often_is_worse() -> None:
    late = made(rate=RATE.model_copy(update={"missed": 30}))
    assert worse(late, made()) == ["arrivals unserved"]


def test_nothing_in_common_is_said() -> None:
    bare = record(who={"graph": "chain"})
    with pytest.raises(InputError, match="no figure in common"):
        gate(bare, bare, portable=True)


def test_a_figure_that_was_zero_divides_nothing() -> None:
    one = Finding("x", "count", "bytes", 0.0, 8192.0, dict(LIMITS)["bytes"])
    assert one.worse
    assert "was 0;" in one.words
    assert "+8192" in gate_table((one,))
    assert not Finding("x", "time", "ms", 0.0, 0.0, Limit(0.05, 0.02)).worse
