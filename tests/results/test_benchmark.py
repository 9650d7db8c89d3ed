"""Tables of long training: those that ship, and what a written one gives back."""

import math

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import hrvit_nas
from hrvit_nas.arch import get_arch, parse_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results.benchmark import (
    COLUMNS,
    Benchmark,
    BenchmarkError,
    list_benchmarks,
    load_benchmark,
    write_benchmark,
)
from hrvit_nas.results.ranking import kendall_tau
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.space import load_space
from hrvit_nas.training import Recipe

SPECS = [scale_widths(get_arch("hrvit_b1"), factor) for factor in (0.125, 0.25, 0.375, 0.5, 0.75)]
STUDY = {"description": "made up", "num_classes": 3}


def table_of(seeds=(0, 1), steps=(10, 20), noise=0.0):
    rng = np.random.default_rng(0)
    rows = []
    for place, spec in enumerate(SPECS):
        cost = estimate_cost(spec, (32, 32), num_classes=3)
        for seed in seeds:
            for step in steps:
                miou = 0.1 * place + step / 1000 + noise * rng.random()
                scores = (seed, step, miou, 1 - miou)
                costs = (cost.macs, cost.params, 1.5 * step)
                rows.append((spec.id, spec.to_json(), "spread", *scores, *costs))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = table_of()
    write_benchmark(tmp_path / "mine.parquet", table, STUDY)
    found = load_benchmark(tmp_path / "mine.parquet")
    pd.testing.assert_frame_equal(found.table, table)
    assert (found.name, found.study) == ("mine", STUDY)
    assert (found.steps, found.seeds) == ((10, 20), (0, 1))
    assert found.arch_ids == tuple(spec.id for spec in SPECS)
    schema = parquet.read_schema(tmp_path / "mine.parquet")
    assert schema.field("macs").metadata[b"unit"] == b"multiply-adds/image"


def test_scores_are_of_architectures_with_every_seed_and_more_is_better(tmp_path):
    table = table_of(noise=0.3)
    first = table["arch_id"].iloc[0]
    table = table[(table["arch_id"] != first) | (table["seed"] == 0)]
    write_benchmark(tmp_path / "t.parquet", table, STUDY)
    found = load_benchmark(tmp_path / "t.parquet")
    assert found.arch_ids == tuple(spec.id for spec in SPECS[1:])
    scores = found.scores("cross_entropy", 10)
    assert scores.shape == (4, 2)
    at = table[(table["arch_id"] == SPECS[2].id) & (table["seed"] == 1) & (table["step"] == 10)]
    assert scores[1, 1] == -at["cross_entropy"].item()
    assert found.ceiling.value == kendall_tau(*found.scores().T)
    with pytest.raises(BenchmarkError, match="scores after 10, 20 steps, got 15"):
        found.scores(step=15)


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="no benchmark 'moon'; known: "):
        load_benchmark("moon")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not at all")
    with pytest.raises(BenchmarkError, match="is no table of long training"):
        load_benchmark(broken)
    table_of().rename(columns={"miou": "mIoU"}).to_parquet(broken)
    with pytest.raises(BenchmarkError, match="is no table of long training"):
        load_benchmark(broken)


@pytest.mark.parametrize("name", list_benchmarks())
def test_a_shipped_table_holds_what_its_card_says(name):
    found = hrvit_nas.load_benchmark(name)
    assert isinstance(found, Benchmark)
    table, study = found.table, found.study
    assert list(table.columns) == list(COLUMNS)
    assert not table.duplicated(["arch_id", "seed", "step"]).any()
    assert table["miou"].between(0.05, 1).all()
    assert table["cross_entropy"].between(0.01, 5).all()
    assert (table.groupby(["arch_id", "seed"])["step"].nunique() == len(found.steps)).all()
    assert len(found.steps) >= 10
    assert (table.groupby(["arch_id", "seed"])["seconds"].diff().dropna() > 0).all()
    plan = load_recipe(study["study"]["recipe"])
    assert found.steps[-1] == study["recipe"]["steps"]
    # What a search trains long is what the table was trained by.
    theirs = Recipe.model_validate(study["recipe"] | {"criterion": plan.recipe.criterion})
    assert plan.long_recipe == theirs
    profile = load_profile(study["study"]["profile"])
    (limit,) = profile.narrowing.limits
    space = load_space(study["study"]["space"]).narrow(
        profile.narrowing.choices, limits=[limit], ignore_unknown=True
    )
    costs = table.drop_duplicates("arch_id")
    for arch_id, arch, kind, macs, params in zip(
        *(costs[column] for column in ("arch_id", "arch", "kind", "macs", "params")), strict=True
    ):
        spec = parse_arch(arch)
        assert spec.id == arch_id
        cost = estimate_cost(spec, study["image_size"], num_classes=study["num_classes"])
        assert (cost.macs, cost.params) == (macs, params)
        assert space.refusal(spec) is None
        assert kind in ("spread", "allocation", "variation")
    assert -1 <= found.ceiling.value <= 1 or math.isnan(found.ceiling.value)
