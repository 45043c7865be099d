"""PyTorch's attention on the same sizes, each of its backends: ``python -m videoscene_rt.bench.attention_torch out.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

SIZES = ((48, 17_776, 10), (12, 1_296, 50))
"""Heads, tokens, runs."""
BACKENDS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")


def measure_torch(heads: int, tokens: int, runs: int, backend: str, dtype: str) -> dict[str, Any]:
    """Times of scaled_dot_product_attention over [1,heads,tokens,64], whose heads lie together in memory as in the student.

    Returns:
        Milliseconds by CUDA events (least, median, most), TFLOP/s at the median, or ``error`` where the backend refuses.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    found: dict[str, Any] = {"way": f"torch {backend}", "dtype": dtype, "heads": heads, "tokens": tokens, "runs": runs}
    torch.manual_seed(0)
    given = [torch.randn(1, tokens, heads, 64, device="cuda", dtype=getattr(torch, dtype)) for _ in range(3)]
    query, key, value = (tensor.transpose(1, 2) for tensor in given)
    times = []
    try:
        with torch.no_grad(), sdpa_kernel(getattr(SDPBackend, backend)):
            for run in range(-3, runs):
                begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
                begin.record()
                scaled_dot_product_attention(query, key, value)
                end.record()
                end.synchronize()
                if run >= 0:
                    times.append(begin.elapsed_time(end))
    except RuntimeError as error:
        return {**found, "error": str(error).strip().splitlines()[0]}
    middle = median(times)
    tflops = 4 * heads * tokens * tokens * 64 / middle / 1e9
    return {**found, "ms_min": min(times), "ms_p50": middle, "ms_max": max(times), "tflops": round(tflops, 1)}


def main(argv: list[str]) -> int:
    """Measure all, write them, print a line each."""
    if len(argv) != 1:
        sys.stderr.write("error: give one argument: the file to write\n")
        return 2
    import torch

    rows = []
    for heads, tokens, runs in SIZES:
        for dtype in ("float16", "bfloat16"):
            for backend in BACKENDS:
                rows.append(measure_torch(heads, tokens, runs, backend, dtype))
                sys.stdout.write(json.dumps(rows[-1]) + "\n")
                sys.stdout.flush()
    about = {"torch": torch.__version__, "cuda": torch.version.cuda, "device": torch.cuda.get_device_name()}
    Path(argv[0]).write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
