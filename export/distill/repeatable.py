"""The same sums in the same order on a GPU, so that a run with the same seed and steps gives the same weights."""

from __future__ import annotations

import os

import torch


def sum_in_order() -> None:
    """From now on let PyTorch choose algorithms whose results do not depend on the order in which threads finish.

    To be called before the first product on a GPU: cuBLAS reads its workspace's size then. An operation that has no such algorithm
    warns and runs all the same (torch.use_deterministic_algorithms; its documentation lists which).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that was not written. (The attribute is a property of the module's class, which type checkers do not see.)
    setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)  # noqa: B010
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.enable_cudnn_sdp(False)  # its gradients are summed in any order, unless warnings are errors
