"""What the kernels' contexts share: memory bound to names, and checked against a signature."""

from __future__ import annotations

from videoscene_rt.engines.engine import TensorView
from videoscene_rt.engines.errors import BackendError
from videoscene_rt.engines.specs import Signature

ALIGNMENT = 16
"""Bytes: the kernels read and write up to sixteen at once."""


class Bindings:
    """The tensors of a signature, bound one after the other.

    Args:
        signature: what there is to bind.
        place: where it must lie, "cpu" or "cuda".
    """

    def __init__(self, signature: Signature, place: str) -> None:
        self._name = signature.name
        self._place = place
        self._tensors = {tensor.name: tensor for tensor in (*signature.inputs, *signature.outputs)}
        self._unbound = dict.fromkeys(self._tensors)
        self._views: dict[str, TensorView] = {}

    def bind(self, name: str, view: TensorView) -> None:
        """See `videoscene_rt.engines.engine.Context.bind`."""
        expected = self._tensors.get(name)
        if expected is None:
            raise BackendError(f"graph {self._name} has no input or output {name!r}")
        if (view.device, view.dtype, view.shape) != (self._place, expected.dtype, expected.shape):
            found = f"{view.dtype}{list(view.shape)} on {view.device}"
            raise BackendError(f"graph {self._name} wants {expected} on {self._place}, not {found}")
        if self._place == "cuda" and view.pointer % ALIGNMENT:
            raise BackendError(f"graph {self._name}: {name} must lie at a multiple of {ALIGNMENT} bytes")
        self._views[name] = view
        self._unbound.pop(name, None)

    def check_complete(self) -> None:
        """Raises:
        BackendError: something is not bound.
        """
        if self._unbound:
            raise BackendError(f"graph {self._name}: not bound: {', '.join(self._unbound)}")

    def __getitem__(self, name: str) -> TensorView:
        return self._views[name]
