"""Mixup, cutmix and smoothed labels, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.training import ClassificationRecipe, Recipe, check_partners
from hrvit_nas.training.mixing import Mixing, cutmix, mixup, soft_labels

AUGMENT = {"crop_size": (8, 12)}
LABELS = torch.tensor([0, 1, 2, 3, 0, 2, 1, 3])


def recipe(**fields):
    return ClassificationRecipe(augment=AUGMENT, **fields)


def batch():
    """Each image is its number everywhere."""
    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 8, 12).clone()
    return images, soft_labels(LABELS, 4, 0.0)


def partner(n):
    return (n + 4) % 8


def test_smoothed_labels_by_hand():
    found = soft_labels(torch.tensor([2, 0]), 4, 0.1)
    expected = [[0.025, 0.025, 0.925, 0.025], [0.925, 0.025, 0.025, 0.025]]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert soft_labels(torch.tensor([1]), 3, 0.0).tolist() == [[0, 1, 0]]


def test_mixup_by_hand():
    images, targets = mixup(*batch(), 0.7, np.random.default_rng(0))
    for n in range(8):
        expected = 0.7 * n + 0.3 * partner(n)
        torch.testing.assert_close(images[n], torch.full((3, 8, 12), expected))
        wanted = [0.0] * 4
        wanted[LABELS[n]] += 0.7
        wanted[LABELS[partner(n)]] += 0.3
        torch.testing.assert_close(targets[n], torch.tensor(wanted))


@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_cutmix_by_hand(share, seed):
    images, targets = cutmix(*batch(), share, np.random.default_rng(seed))
    first = images[0, 0] == partner(0)
    rows, columns = first.any(1).sum(), first.any(0).sum()
    assert first.sum() == rows * columns  # a rectangle
    assert rows <= 8 * (1 - share) ** 0.5 + 1
    assert columns <= 12 * (1 - share) ** 0.5 + 1
    for n in range(8):
        expected = torch.where(first, partner(n), n)
        assert (images[n] == expected).all()
        covered = first.sum() / 96
        wanted = torch.zeros(4)
        wanted[LABELS[n]] += 1 - covered
        wanted[LABELS[partner(n)]] += covered
        torch.testing.assert_close(targets[n], wanted)


def test_a_cut_is_as_large_as_its_share_says_where_nothing_sticks_out():
    areas = []
    for seed in range(200):
        images, _ = cutmix(*batch(), 0.75, np.random.default_rng(seed))
        areas.append(int((images[0, 0] == partner(0)).sum()))
    assert max(areas) == 4 * 6  # a quarter of 8x12
    assert np.mean(areas) == pytest.approx(24 * 0.875**2, rel=0.1)  # an eighth is cut off a side


@given(seed=st.integers(0, 99), step=st.integers(0, 10**6), parts=st.sampled_from([1, 2, 4]))
def test_how_a_batch_is_mixed_is_a_function_of_seed_and_step(seed, step, parts):
    how = recipe(mixup=0.8, cutmix=1.0)
    images, targets = Mixing(how, seed)(*batch(), step)
    for rank in range(parts):
        part = [values[rank::parts].clone() for values in batch()]
        found, of_part = Mixing(how, seed)(*part, step)
        assert torch.equal(found, images[rank::parts])
        assert torch.equal(of_part, targets[rank::parts])


def test_one_of_the_two_a_batch_by_its_own_share():
    shares = {"mixup": [], "cutmix": []}
    for step in range(2000):
        images, targets = Mixing(recipe(mixup=0.8, cutmix=1.0), 3)(*batch(), step)
        whole = images[0, 0].unique()
        cut = set(whole.tolist()) <= {0.0, 4.0}
        shares["cutmix" if cut else "mixup"].append(1 - float(targets[1, 2]))
    assert len(shares["cutmix"]) == pytest.approx(1000, abs=100)
    # Of a beta distribution with equal parameters: mean 1/2, variance 1 / (8 a + 4).
    assert np.mean(shares["mixup"]) == pytest.approx(0.5, abs=0.04)
    assert np.var(shares["mixup"]) == pytest.approx(1 / (8 * 0.8 + 4), rel=0.1)


def test_nothing_is_mixed_unless_asked_for():
    images, targets = Mixing(recipe(), 0)(*batch(), 5)
    assert torch.equal(images, batch()[0])
    assert torch.equal(targets, batch()[1])


def test_parts_without_halves_are_refused():
    mixed = Recipe(batch_size=6, classification=recipe(mixup=0.8))
    check_partners(mixed, 1)
    check_partners(mixed, 3)
    with pytest.raises(ValueError, match="multiple of 4 for mixup or cutmix by 2 processes"):
        check_partners(mixed, 2)
    check_partners(Recipe(batch_size=6, classification=recipe()), 2)
