"""How fast a device is as torch finds it: large matrix products and a large copy."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from videoscene_rt.bench.published.modes import DTYPES
from videoscene_rt.bench.roofline.facts import Rates
from videoscene_rt.bench.torch_baseline import TorchTimer

_REPEATS = 10


def measured_rates(device: str, dtypes: tuple[str, ...]) -> Rates:
    """The best of a few products of square matrices in each dtype, and of a few copies."""
    side, copied = (8192, 1 << 30) if device == "cuda" else (128, 1 << 20)
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    rates = {dtype: 2 * side**3 / _product_s(device, dtype, side) for dtype in dict.fromkeys(("fp32", *dtypes))}
    source = torch.zeros(copied, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _best_s(device, lambda: target.copy_(source))
    how = f"measured in torch: products of {side}×{side} matrices, a copy of {copied >> 20} MiB; the best of {_REPEATS}"
    return Rates(device=name, bytes_per_s=2 * copied / copy_s, operations_per_s=rates, how=how)


def _product_s(device: str, dtype: str, side: int) -> float:
    one, other = (torch.randn(side, side, device=device).to(DTYPES[dtype]) for _ in range(2))
    return _best_s(device, lambda: one @ other)


def _best_s(device: str, work: Callable[[], object]) -> float:
    found = []
    timer = TorchTimer() if device == "cuda" else None
    for _ in range(_REPEATS + 2):
        begin = time.perf_counter()
        if timer is not None:
            timer.start()
        work()
        if timer is not None:
            timer.stop()
            torch.cuda.synchronize()
        found.append(timer.elapsed_ms() / 1e3 if timer is not None else time.perf_counter() - begin)
    return max(min(found[2:]), 1e-9)
