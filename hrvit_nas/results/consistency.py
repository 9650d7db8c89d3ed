"""How well scores with inherited weights rank architectures that were also trained alone.

The question of weight sharing (Yu et al., Evaluating the Search Phase of Neural Architecture
Search, ICLR 2020): a supernet scores every subnet cheaply, but a search that trusts those scores
is worth no more than the ranking they make.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .estimates import Estimate
from .predictors import (
    predictor_regret,
    predictor_residual_tau,
    predictor_rho,
    predictor_tau,
    predictor_tau_gain,
)
from .ranking import residual_tau, seed_tau, tau_interval
from .records import Criterion, TrialRecord

TOP = (1, 3, 5)
"""How many of the best by inherited score are trained, where regret is told."""
MIN_FOR_CONSISTENCY = max(TOP) + 1
"""Of fewer architectures nothing would be left out by training the best."""


@dataclass(frozen=True, kw_only=True)
class RankingConsistency:
    """How far inherited scores rank as stand-alone training does.

    Intervals are bootstraps over architectures; seeds are taken as they are. All taus are
    Kendall's tau-b.

    Attributes:
        criterion: The stand-alone score.
        num_architectures: Architectures with an inherited score and each stand-alone one.
        seeds: Seeds of the stand-alone training.
        macs: Multiply-adds an image of the cheapest and the dearest architecture.
        tau: Between the inherited score and the stand-alone score of one seed, averaged over
            seeds.
        mean_tau: Between the inherited score and the mean stand-alone score.
        rho: Spearman's rank correlation, averaged over seeds as tau is.
        residual_tau: `tau` after the logarithm of MACs, and from 16 architectures on its square,
            is regressed out of both sides: 'bigger is better' earns nothing.
        ceiling: Tau between the stand-alone scores of two seeds: what training anew would earn.
            An inherited score that has less noise than one seed can exceed it.
        residual_ceiling: The same with MACs regressed out.
        ceiling_gain: `tau` less `ceiling`, resampled together.
        size_tau: Between MACs and the stand-alone score, averaged over seeds: what 'bigger is
            better' earns alone.
        size_gain: `tau` less `size_tau`, resampled together.
        regret: By k, the best mean stand-alone score of all less the best mean among the k best
            by inherited score, in the criterion's unit (mIoU: a fraction). Maxima over noisy
            means flatter, that of all the more, so that noise alone makes a regret; its
            intervals are rough (`hrvit_nas.results.predictors.predictor_regret`).
    """

    criterion: Criterion
    num_architectures: int
    seeds: tuple[int, ...]
    macs: tuple[int, int]
    tau: Estimate
    mean_tau: Estimate
    rho: Estimate
    residual_tau: Estimate
    ceiling: Estimate
    residual_ceiling: Estimate
    ceiling_gain: Estimate
    size_tau: Estimate
    size_gain: Estimate
    regret: dict[int, Estimate]

    @property
    def ranks(self) -> bool:
        """Whether inherited scores surely rank better than chance: tau's interval is above 0."""
        return self.tau.low > 0

    @property
    def ranks_beyond_size(self) -> bool:
        """Whether they surely do so once MACs are regressed out."""
        return self.residual_tau.low > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class ConsistencyScores:
    """Scores of architectures that have both kinds, more being better.

    Attributes:
        arch_ids: The architectures, in the order of the rows.
        seeds: Seeds of the stand-alone training, in the order of the columns.
        macs: (num_architectures,) multiply-adds an image.
        inherited: By criterion, (num_architectures,) scores with inherited weights.
        alone: (num_architectures, num_seeds) mIoU of stand-alone training.
    """

    arch_ids: tuple[str, ...]
    seeds: tuple[int, ...]
    macs: NDArray[np.float64]
    inherited: dict[Criterion, NDArray[np.float64]]
    alone: NDArray[np.float64]

    def ranking_consistency(self, criterion: Criterion = "miou") -> RankingConsistency:
        """How well inherited scores of a criterion rank the mIoU of stand-alone training.

        Raises:
            ValueError: There are too few architectures or seeds.
        """
        return ranking_consistency(
            self.inherited[criterion], self.alone, self.macs, seeds=self.seeds
        )


def gather_consistency(
    records: Iterable[TrialRecord], arch_ids: Iterable[str], seeds: Sequence[int]
) -> ConsistencyScores:
    """Gathers the scores of chosen architectures; those that lack one are left out.

    They must have been chosen without a look at their scores, such as spread over the cost range:
    among those that a search has picked by inherited score, it could only disappoint.

    Args:
        records: Of one run.
        arch_ids: The architectures.
        seeds: Seeds of the stand-alone training that count.
    """
    inherited: dict[str, TrialRecord] = {}
    alone: dict[tuple[str, int], float] = {}
    for record in records:
        if record.miou is None:
            continue
        if record.evaluator == "inherited":
            inherited[record.arch_id] = record
        else:
            alone[record.arch_id, record.seed] = record.miou
    whole = [
        arch_id
        for arch_id in arch_ids
        if arch_id in inherited and all((arch_id, seed) in alone for seed in seeds)
    ]
    found = [inherited[arch_id] for arch_id in whole]
    criteria: tuple[Criterion, ...] = ("miou", "cross_entropy")
    scores: dict[Criterion, NDArray[np.float64]] = {}
    for criterion in criteria:
        values = [record.score(criterion) for record in found]
        if None not in values:
            scores[criterion] = np.array(values, np.float64)
    return ConsistencyScores(
        arch_ids=tuple(whole),
        seeds=tuple(seeds),
        macs=np.array([record.macs for record in found], np.float64),
        inherited=scores,
        alone=np.array(
            [[alone[arch_id, seed] for seed in seeds] for arch_id in whole], np.float64
        ).reshape(len(whole), len(seeds)),
    )


def ranking_consistency(
    inherited: ArrayLike,
    scores: ArrayLike,
    costs: ArrayLike,
    *,
    seeds: Sequence[int],
    criterion: Criterion = "miou",
    confidence: float = 0.95,
    seed: int = 0,
) -> RankingConsistency:
    """Compares scores with inherited weights with those of the same architectures trained alone.

    Where inherited scores do not differ, what compares them is undefined (nan).

    Args:
        inherited: (num_architectures,) scores with inherited weights, more being better.
        scores: (num_architectures, num_seeds) stand-alone scores, more being better; at least 6
            architectures and 2 seeds.
        costs: (num_architectures,) multiply-adds an image, positive.
        seeds: (num_seeds,) seeds of the stand-alone training, in the order of the columns.
        criterion: The stand-alone score; a cross entropy must come negated.
        confidence: Coverage of the intervals.
        seed: Of the resampling.

    Raises:
        ValueError: There are too few architectures or seeds, shapes differ, or a number is not
            finite or a cost not positive.
    """
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or table.shape[0] < MIN_FOR_CONSISTENCY or table.shape[1] < 2:
        raise ValueError(
            f"stand-alone scores must be (num_architectures, num_seeds) of at least"
            f" {MIN_FOR_CONSISTENCY} architectures and 2 seeds, got shape {table.shape}"
        )
    if len(seeds) != table.shape[1] or len(set(seeds)) != len(seeds):
        raise ValueError(
            f"seeds must be {table.shape[1]} different numbers, one a column of the stand-alone"
            f" scores, got {list(seeds)}"
        )
    x, cost = np.asarray(inherited, np.float64), np.asarray(costs, np.float64)
    # Costs are checked here, before they serve as a predictor.
    residual = predictor_residual_tau(x, table, cost, confidence, seed)
    return RankingConsistency(
        criterion=criterion,
        num_architectures=len(table),
        seeds=tuple(seeds),
        macs=(int(cost.min()), int(cost.max())),
        tau=predictor_tau(x, table, confidence, seed),
        mean_tau=tau_interval(x, table.mean(1), confidence, seed),
        rho=predictor_rho(x, table, confidence, seed),
        residual_tau=residual,
        ceiling=seed_tau(table, confidence, seed),
        residual_ceiling=residual_tau(table, cost, confidence, seed),
        ceiling_gain=predictor_tau_gain(x, table, None, confidence, seed),
        size_tau=predictor_tau(cost, table, confidence, seed),
        size_gain=predictor_tau_gain(x, table, cost, confidence, seed),
        regret={k: predictor_regret(x, table, k, confidence, seed) for k in TOP},
    )
