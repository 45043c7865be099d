"""What a student on the CPU takes of memory at the least: looked at before it is loaded, since a system that runs out ends processes."""

from __future__ import annotations

from videoscene_rt.engines.bundle import Bundle
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.free_memory import free_memory
from videoscene_rt.engines.preset import Preset

_WEIGHTS = "weights_student.bin"
_FLOAT32 = 4


def attention_scores(preset: Preset) -> int:
    """Bytes of one block's scores in float32, heads × tokens²: ONNX Runtime's CPU provider writes them down."""
    _, frames, _, high, wide = preset.latent_shape
    tokens = preset.student.text_tokens + frames * (high // 2) * (wide // 2)
    return preset.student.heads * tokens**2 * _FLOAT32


def require_host_memory(bundle: Bundle) -> None:
    """Refuse a student that cannot fit into the host's memory.

    The bound is one from below: its weights as they are stored, and `attention_scores`.

    Raises:
        BackendError: it does not; what it takes and what is free are named.
    """
    preset, free = bundle.manifest.preset, free_memory()
    stored = bundle.manifest.files.get(_WEIGHTS)
    weights, scores = 0 if stored is None else stored.bytes, attention_scores(preset)
    if free is not None and weights + scores > free:
        raise BackendError(
            f"a step of {preset.name} on the CPU takes more than {(weights + scores) / 2**30:.0f} GiB of memory (the student's weights "
            f"{weights / 2**30:.1f}, its attention's scores {scores / 2**30:.1f}), and {free / 2**30:.1f} GiB are free",
            "take a machine with more memory, or a smaller preset; vsrt build runs such steps too, as its reference, for every backend",
        )
