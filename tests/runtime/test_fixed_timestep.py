"""A fixed timestep: any where the student computes its values in every step, a candidate where they come from a table."""

from __future__ import annotations

import pytest

from videoscene_rt.engines.errors import InputError
from videoscene_rt.loading import check_timestep

CANDIDATES = (99, 199)


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_a_table_holds_the_candidates_alone(backend: str) -> None:
    check_timestep(199, backend, CANDIDATES)
    check_timestep(None, backend, CANDIDATES)
    with pytest.raises(InputError, match=r"timestep 200 is none of the policy's candidates \(99, 199\)") as refused:
        check_timestep(200, backend, CANDIDATES)
    assert "onnxruntime" in str(refused.value)


@pytest.mark.parametrize("backend", ["onnxruntime", "onnxruntime-cuda"])
def test_the_traced_graph_knows_every_timestep(backend: str) -> None:
    check_timestep(200, backend, CANDIDATES)
