"""Figures of refined and coarse frames against the clean ones, one row a clip."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from videoscene_rt.export.distill.metrics import inner, masked_mean, psnr, squared_error, ssim_map

REGIONS = ("whole", "holes", "outside")
"""All pixels, those where no point fell, and the others."""


@dataclass(frozen=True)
class Figures:
    """Of one clip: PSNR in decibels, SSIM and mean squared error by region; NaN where a clip has no such pixel."""

    psnr: Mapping[str, float]
    ssim: Mapping[str, float]
    mse: Mapping[str, float]

    def to_json(self) -> dict[str, dict[str, float]]:
        """As JSON; the error is left out, since the PSNR says it."""
        return {"psnr": _rounded(self.psnr), "ssim": _rounded(self.ssim)}


def figures(found: Tensor, target: Tensor, holes: Tensor) -> Figures:
    """Of frames uint8[F,H,W,3] against others, by a mask uint8[F,H,W] that is 1 in holes. An SSIM is that of a pixel's window."""
    error, similarity = squared_error(found, target), ssim_map(found, target)
    masks = {"whole": torch.ones_like(holes), "holes": holes, "outside": 1 - holes}
    mse = {region: masked_mean(error, mask) for region, mask in masks.items()}
    return Figures(
        psnr={region: psnr(value) for region, value in mse.items()},
        ssim={region: masked_mean(similarity, inner(mask)) for region, mask in masks.items()},
        mse=mse,
    )


def mean_figures(rows: Iterable[Figures]) -> Figures:
    """The mean over clips, figure by figure; clips without a region do not count there."""
    every = list(rows)
    return Figures(
        psnr={region: _mean(row.psnr[region] for row in every) for region in REGIONS},
        ssim={region: _mean(row.ssim[region] for row in every) for region in REGIONS},
        mse={region: _mean(row.mse[region] for row in every) for region in REGIONS},
    )


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items() if not math.isnan(value)}
