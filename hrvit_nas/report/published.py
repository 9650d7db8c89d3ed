"""Published results of HRViT and its baselines at full scale, with the SegFormer head but for
`UPERNET`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class PublishedResult(NamedTuple):
    """One network on one data set.

    Attributes:
        arch: Name of the preset.
        dataset: `ade20k` or `cityscapes`, validation split, single scale.
        params: Millions of parameters.
        gmacs: G multiply-adds at 512x512, as published (HRViT and CSWin with half of the attention
            products).
        miou: Mean IoU in percent.
        read_off: Whether a figure was read off a chart of Gu et al.
    """

    arch: str
    dataset: str
    params: float
    gmacs: float
    miou: float
    read_off: bool


class PublishedData(NamedTuple):
    """What a figure of published results shows.

    Attributes:
        results: The networks.
    """

    results: tuple[PublishedResult, ...]


def _of(
    arch: str, params: float, gmacs: float, ade20k: float, cityscapes: float, read_off: str
) -> tuple[PublishedResult, PublishedResult]:
    return (
        PublishedResult(arch, "ade20k", params, gmacs, ade20k, "a" in read_off),
        PublishedResult(arch, "cityscapes", params, gmacs, cityscapes, "c" in read_off),
    )


RESULTS: tuple[PublishedResult, ...] = (
    PublishedResult("hrvit_b1", "ade20k", 8.2, 14.6, 45.88, False),
    PublishedResult("hrvit_b2", "ade20k", 20.8, 28.0, 48.76, False),
    PublishedResult("hrvit_b3", "ade20k", 28.7, 67.9, 50.20, False),
    PublishedResult("hrvit_b1", "cityscapes", 8.1, 14.1, 81.63, False),
    PublishedResult("hrvit_b2", "cityscapes", 20.8, 27.4, 82.81, False),
    PublishedResult("hrvit_b3", "cityscapes", 28.6, 66.8, 83.16, False),
    *_of("mit_b0", 3.8, 8.4, 37.4, 76.2, "ac"),
    *_of("mit_b1", 13.7, 15.9, 42.20, 78.50, ""),
    *_of("mit_b2", 27.5, 62.4, 46.50, 81.0, "c"),
    *_of("mit_b3", 47.3, 79.0, 49.40, 81.7, "c"),
    *_of("mit_b4", 64.1, 95.7, 50.3, 82.30, "a"),
    *_of("cswin_ti", 5.9, 11.4, 41.43, 79.16, ""),
    *_of("cswin_t", 22.4, 28.3, 47.88, 81.55, "c"),
    *_of("cswin_s", 37.3, 78.1, 49.93, 82.58, "c"),
)
"""Gu et al. (CVPR 2022); Xie et al. (NeurIPS 2021) for MiT. Parameters and multiply-adds of the
baselines were counted for ADE20K, and those of CSWin and MiT-B0 read off charts."""
UPERNET: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "hrvit_b1": (35.9, 219, 47.19),
        "hrvit_b2": (49.7, 233, 49.10),
        "hrvit_b3": (55.4, 236, 50.04),
    }
)
"""The same of HRViT with UperNet's head of 512 channels, by preset: millions of parameters, G
multiply-adds at 512x512 and mean IoU in percent, on ADE20K."""
FAMILIES = {"hrvit": "HRViT", "mit": "MiT", "cswin": "CSWin"}
"""Families of networks, by the start of a preset's name."""


def published_results(dataset: str) -> tuple[PublishedResult, ...]:
    """Results on a data set; none on most."""
    return tuple(result for result in RESULTS if result.dataset == dataset)
