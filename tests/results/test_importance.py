"""Importance of genes against SciPy, Optuna, and scores that are known to be noise."""

import numpy as np
import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator
from scipy.stats import chisquare

from hrvit_nas.results import gene_importance
from hrvit_nas.results.importance import BEST_SHARE


def genes_of(count, rng, num_genes=6):
    return {f"gene_{i}": rng.choice([8, 16, 24], count).tolist() for i in range(num_genes)}


def test_a_gene_that_decides_is_found_and_its_choice_named():
    rng = np.random.default_rng(0)
    genes = genes_of(80, rng)
    scores = np.array(genes["gene_3"]) / 100 + 0.02 * rng.standard_normal(80)
    found = gene_importance(genes, scores)
    first = found.genes[0]
    assert (first.gene, first.favoured, first.above_chance) == ("gene_3", "24", True)
    assert first.low > found.threshold / 2
    assert not any(gene.above_chance for gene in found.genes[1:])


def test_noise_is_above_chance_as_seldom_as_it_says():
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(40):
        found = gene_importance(genes_of(40, rng), rng.standard_normal(40))
        false += found.genes[0].above_chance
    # 5% of 40 are 2; 7 or more have a probability below 1%.
    assert false <= 6


def test_a_value_is_a_chi_square_of_the_best_over_their_number():
    rng = np.random.default_rng(2)
    genes = genes_of(60, rng, 1)
    scores = rng.standard_normal(60)
    best = np.argsort(-scores)[: round(BEST_SHARE * 60)]
    values = np.array(genes["gene_0"])
    expected = [(values == choice).mean() * len(best) for choice in (8, 16, 24)]
    observed = [(values[best] == choice).sum() for choice in (8, 16, 24)]
    statistic = chisquare(observed, expected).statistic
    assert gene_importance(genes, scores).genes[0].value == pytest.approx(statistic / len(best))


@pytest.mark.filterwarnings("ignore")
def test_the_order_is_that_of_optunas_ped_anova():
    rng = np.random.default_rng(3)
    genes = genes_of(300, rng)
    weights = {"gene_1": 1.0, "gene_4": 0.5}
    scores = sum(w * np.array(genes[name]) for name, w in weights.items())
    scores = scores + 2 * rng.standard_normal(300)
    study = optuna.create_study(direction="maximize")
    choices = optuna.distributions.CategoricalDistribution([8, 16, 24])
    for number, score in enumerate(scores):
        params = {name: values[number] for name, values in genes.items()}
        distributions = dict.fromkeys(params, choices)
        trial = optuna.trial.create_trial(
            params=params, distributions=distributions, value=float(score)
        )
        study.add_trial(trial)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    theirs = evaluator.evaluate(study, target=lambda trial: -trial.value)
    ours = gene_importance(genes, scores)
    assert [gene.gene for gene in ours.genes[:2]] == sorted(theirs, key=theirs.get)[:-3:-1]


def test_inactive_genes_are_a_choice_and_those_that_do_not_vary_are_left_out():
    genes = {"same": [1] * 12, "sometimes": [None, 7] * 6, "kind": ["a", "b", "c"] * 4}
    found = gene_importance(genes, range(12))
    assert {gene.gene for gene in found.genes} == {"sometimes", "kind"}
    assert gene_importance({"same": [1] * 12}, range(12)).genes == ()


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"at least 12 architectures, got shape \(11,\)"):
        gene_importance({"a": [1] * 11}, range(11))
    with pytest.raises(ValueError, match="finite"):
        gene_importance({"a": [1] * 12}, [float("nan")] * 12)
    with pytest.raises(ValueError, match="gene 'a' must have 12 choices, got 3"):
        gene_importance({"a": [1, 2, 3]}, range(12))
