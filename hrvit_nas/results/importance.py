"""Which genes decide whether an architecture is among the best, and which of that is chance.

The importance of a gene is the Pearson divergence between its choices among the best and among
all (PED-ANOVA: Watanabe et al., IJCAI 2023, with the global region). All genes here have a few
choices, so shares of choices take the place of the paper's kernel densities, and a thousand
resamplings take seconds. A divergence of few architectures is never 0: what the largest of all
genes' divergences would be if scores were dealt out at random is the threshold beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BEST_SHARE = 0.25
"""Share of the architectures that count as the best."""
MIN_FOR_IMPORTANCE = 12
"""Architectures below which three or fewer would be the best."""
RESAMPLES = 400


@dataclass(frozen=True, kw_only=True)
class GeneImportance:
    """What one gene has to do with being among the best.

    Attributes:
        gene: Its name.
        value: Pearson divergence of its choices among the best from those among all; 0 = none.
        low: Lower end of a bootstrap interval over architectures, its bias taken off.
        high: Upper end.
        favoured: The choice that the best have more often than all, by the most.
        above_chance: Whether the value exceeds the threshold.
    """

    gene: str
    value: float
    low: float
    high: float
    favoured: str
    above_chance: bool


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Importance of all genes that vary, the greatest first.

    Attributes:
        genes: The genes.
        threshold: What the largest value of all exceeds by chance in 1 - `confidence` of the
            shufflings of scores.
        num_architectures: Architectures that it comes from.
        num_best: Those that count as the best.
        confidence: Coverage of the intervals and of the threshold.
    """

    genes: tuple[GeneImportance, ...]
    threshold: float
    num_architectures: int
    num_best: int
    confidence: float


def gene_importance(
    genes: Mapping[str, Sequence[object]],
    scores: ArrayLike,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Importance:
    """Measures how much the choices of the best differ from those of all.

    What the search proposed is taken as it is: a sampler that has moved towards good regions has
    fewer of the others to tell from.

    Args:
        genes: By name, the choice of each architecture (any value; None = inactive). Genes that do
            not vary are left out.
        scores: (num_architectures,), more being better.
        confidence: Coverage of the intervals and of the threshold.
        seed: Of the resampling.

    Raises:
        ValueError: There are fewer than 12 architectures, a score is not finite, or a gene has
            another number of choices than there are scores.
    """
    y = np.asarray(scores, np.float64)
    if y.ndim != 1 or len(y) < MIN_FOR_IMPORTANCE or not np.isfinite(y).all():
        raise ValueError(
            f"importance needs finite scores of at least {MIN_FOR_IMPORTANCE} architectures, got"
            f" shape {y.shape}"
        )
    names, one_hot, owners, choices = _one_hot(genes, len(y))
    num_best = max(1, round(BEST_SHARE * len(y)))
    found: list[GeneImportance] = []
    threshold = 0.0
    if names:
        best = _best(y, num_best)
        values, gains = _divergence(one_hot, best, np.arange(len(y)), owners, len(names))
        shuffled, resampled = _resampled(one_hot, y, num_best, owners, len(names), seed)
        tail = (1 - confidence) / 2
        bias = resampled.mean(0) - values
        low, high = np.quantile(resampled, [tail, 1 - tail], axis=0) - bias
        threshold = float(np.quantile(shuffled, confidence))
        for number in np.argsort(-values, kind="stable"):
            mine = np.flatnonzero(owners == number)
            found.append(
                GeneImportance(
                    gene=names[number],
                    value=float(values[number]),
                    low=max(0.0, float(low[number])),
                    high=float(high[number]),
                    favoured=choices[mine[np.argmax(gains[mine])]],
                    above_chance=bool(values[number] > threshold),
                )
            )
    return Importance(
        genes=tuple(found),
        threshold=threshold,
        num_architectures=len(y),
        num_best=num_best,
        confidence=confidence,
    )


def _best(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")[:count]


def _resampled(
    one_hot: NDArray[np.float64],
    scores: NDArray[np.float64],
    num_best: int,
    owners: NDArray[np.intp],
    num_genes: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest divergence of all by chance, and those of all genes in resamples of the rows."""
    rng = np.random.default_rng(seed)
    shuffled = np.empty(RESAMPLES)
    resampled = np.empty((RESAMPLES, num_genes))
    everyone = np.arange(len(scores))
    for draw in range(RESAMPLES):
        lucky = rng.choice(len(scores), num_best, replace=False)
        shuffled[draw] = _divergence(one_hot, lucky, everyone, owners, num_genes)[0].max()
        sample = rng.integers(len(scores), size=len(scores))
        best = sample[_best(scores[sample], num_best)]
        resampled[draw] = _divergence(one_hot, best, sample, owners, num_genes)[0]
    return shuffled, resampled


def _one_hot(
    genes: Mapping[str, Sequence[object]], count: int
) -> tuple[list[str], NDArray[np.float64], NDArray[np.intp], list[str]]:
    """Names of genes that vary, (count, choices) of 0 and 1, each choice's gene, and its text."""
    names: list[str] = []
    columns: list[list[float]] = []
    owners: list[int] = []
    texts: list[str] = []
    for name, values in genes.items():
        if len(values) != count:
            raise ValueError(f"gene {name!r} must have {count} choices, got {len(values)}")
        distinct = sorted(set(values), key=lambda value: (str(type(value)), value or 0))
        if len(distinct) < 2:
            continue
        for choice in distinct:
            columns.append([float(value == choice) for value in values])
            owners.append(len(names))
            texts.append("inactive" if choice is None else str(choice))
        names.append(name)
    one_hot = np.array(columns, np.float64).T.copy() if columns else np.empty((count, 0))
    return names, one_hot, np.array(owners, np.intp), texts


def _divergence(
    one_hot: NDArray[np.float64],
    best: NDArray[np.intp],
    everyone: NDArray[np.intp],
    owners: NDArray[np.intp],
    num_genes: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Divergence of each gene, and by how much each choice's share is higher among the best."""
    among_all = one_hot[everyone].mean(0)
    gains = one_hot[best].mean(0) - among_all
    terms = np.divide(gains**2, among_all, out=np.zeros_like(gains), where=among_all > 0)
    return np.asarray(np.bincount(owners, terms, num_genes), np.float64), gains
