"""Allocations, sessions and runs that fail one after the other, in a process of its own."""

from __future__ import annotations

from typing import Any

from tests.support.documented import check_documented
from videoscene_rt import BackendError, InputError, Pipeline, Scene


def first_allocations(arguments: dict[str, Any]) -> int:
    """Load where the device's n-th allocation, session, binding or run fails; each is a documented error, and loading again works."""
    import onnxruntime

    from videoscene_rt.engines.host_device import np as host_numpy

    scene = Scene.load(arguments["scene"])
    with Pipeline.load(arguments["bundle"], threads=1) as pipeline:
        expected = pipeline.step(scene, seed=0).copy().frames
    refused = 0
    for holder, name, error in (
        (host_numpy, "zeros", MemoryError()),
        (onnxruntime, "InferenceSession", RuntimeError("std::bad_alloc")),
        (
            onnxruntime.InferenceSession,
            "run_with_iobinding",
            RuntimeError("Failed to allocate memory for requested buffer of size 1"),
        ),
    ):
        real = getattr(holder, name)
        for number in range(arguments["most"]):
            count = [0]

            def failing(
                *a: Any,
                count: list[int] = count,
                number: int = number,
                real: Any = real,
                error: Exception = error,
                **k: Any,
            ) -> Any:
                count[0] += 1
                if count[0] == number + 1:
                    raise error
                return real(*a, **k)

            setattr(holder, name, failing)
            try:
                with Pipeline.load(arguments["bundle"], threads=1) as pipeline:
                    try:
                        frames = pipeline.step(scene, seed=0).frames
                    except (BackendError, InputError) as caught:
                        check_documented(caught)
                        refused += 1
                        frames = pipeline.step(scene, seed=0).frames  # the same pipeline goes on
                    assert (frames == expected).all()
            except (BackendError, InputError) as caught:
                check_documented(caught)
                refused += 1
            finally:
                setattr(holder, name, real)
            if count[0] <= number:
                break  # it is not called so often
        with Pipeline.load(arguments["bundle"], threads=1) as pipeline:
            assert (pipeline.step(scene, seed=0).frames == expected).all()
    assert refused > 10, refused
    return 0
