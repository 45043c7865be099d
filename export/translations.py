"""How torch's exporter translates each operator, found out once a process instead of once a graph.

It reads the source of hundreds of functions for the same answer every time: a sixth of the export of a small bundle.
torch has no public way to keep that answer, so its own class is lent a memory while a graph is traced; a torch that
looks otherwise inside is left as it is.
"""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_MODULE, _CLASS, _METHOD = "torch.onnx._internal.exporter._registration", "ONNXRegistry", "from_torchlib"


@contextmanager
def remembered_translations() -> Iterator[None]:
    """Within it torch.onnx.export takes its table of translations from the last time; afterwards torch is as it was."""
    try:
        registry = getattr(importlib.import_module(_MODULE), _CLASS)
        theirs = vars(registry)[_METHOD]
        function: Callable[..., Any] = theirs.__func__
        dict(registry().functions)
    except (ImportError, AttributeError, KeyError, TypeError):
        yield
        return

    def remembered(cls: type, *args: Any, **options: Any) -> Any:
        found = copy.copy(_first_time(function, cls, args, tuple(options.items())))
        found.functions = {
            name: list(each) for name, each in found.functions.items()
        }  # whoever adds to it adds to a copy
        return found

    setattr(registry, _METHOD, classmethod(remembered))
    try:
        yield
    finally:
        setattr(registry, _METHOD, theirs)


@functools.lru_cache(maxsize=4)
def _first_time(function: Callable[..., Any], cls: type, args: tuple[Any, ...], options: tuple[Any, ...]) -> Any:
    return function(cls, *args, **dict(options))
