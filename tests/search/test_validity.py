"""What scores are worth is read off a table of their own schedule and data, or not at all."""

import numpy as np
import pandas as pd
import pytest

from hrvit_nas.data import DataConfig
from hrvit_nas.report import search_verdict
from hrvit_nas.results import summarise
from hrvit_nas.results.benchmark import COLUMNS, write_benchmark
from hrvit_nas.results.ranking import kendall_tau
from hrvit_nas.search import validity as module
from hrvit_nas.search.config import SearchConfig, SupernetSearchConfig
from hrvit_nas.search.profiles import load_recipe

DATA = DataConfig(image_size=(64, 96), num_train=8, num_val=4)
STEPS = (50, 150, 600)


def validity_of(recipe, data=DATA, kind=SearchConfig):
    config = kind(space="a_space", data=data, recipe=recipe, trials=1)
    return module.validity_of(config)


@pytest.fixture
def recipe():
    changes = {"criterion": "cross_entropy", "stop_after": 150}
    return load_recipe("laptop").recipe.model_copy(update=changes)


@pytest.fixture
def shipped(recipe, tmp_path, monkeypatch):
    """A table of 8 architectures whose first steps rank the other way round."""

    def ship(arches=8, noise=0.01, **study):
        rng = np.random.default_rng(0)
        rows = []
        for arch in range(arches):
            for seed in (0, 1):
                for step in STEPS:
                    miou = 0.3 + 0.02 * arch + noise * rng.random()
                    loss = 1 - miou if step != 50 else miou
                    rows.append(
                        (f"{arch:012x}", "{}", "spread", seed, step, miou, loss, 1, 1, float(step))
                    )
        long = recipe.model_copy(update={"stop_after": None, "evaluations": 12})
        made = {
            # As a version wrote it that knew no `stop_after`.
            "recipe": long.model_dump(mode="json", exclude={"criterion", "stop_after"}),
            "data": DATA.without_root(),
            "study": {"space": "a_space", "profile": "laptop"},
        }
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_benchmark(tmp_path / "scenes.parquet", table, {**made, **study})
        return table

    real = module.load_benchmark
    monkeypatch.setattr(module, "list_benchmarks", lambda: ("scenes",))
    monkeypatch.setattr(module, "load_benchmark", lambda n: real(tmp_path / f"{n}.parquet"))
    return ship


def test_the_tau_is_that_of_the_table(recipe, shipped):
    table = shipped()
    found = validity_of(recipe)
    assert (found.step, found.steps, found.criterion) == (150, 600, "cross_entropy")
    assert (found.num_architectures, found.num_seeds) == (8, 2)

    def scores(step, seed, column):
        rows = table[(table["step"] == step) & (table["seed"] == seed)]
        return rows.sort_values("arch_id")[column].to_numpy()

    taus = [
        kendall_tau(-scores(150, a, "cross_entropy"), scores(600, b, "miou"))
        for a, b in ((0, 1), (1, 0))
    ]
    assert found.tau.value == pytest.approx(np.mean(taus))
    wrong = validity_of(recipe.model_copy(update={"stop_after": 50}))
    assert wrong.tau.value < 0 < found.tau.value


def test_it_is_unknown_where_the_table_is_of_something_else(recipe, shipped):
    shipped()
    for other in (
        {"stop_after": 100},
        {"eval_batch_size": 3},  # BN recalibration sees other images
        {"learning_rate": 1e-3},
        {"steps": 500},
        {"augment": recipe.augment.model_copy(update={"flip": 0.0})},
    ):
        assert validity_of(recipe.model_copy(update=other)) is None, other
    assert validity_of(recipe, DATA.model_copy(update={"num_train": 9})) is None
    assert validity_of(recipe, DataConfig(name="camvid", root=".", image_size=(64, 96))) is None
    # What is no matter of training makes no difference.
    assert validity_of(recipe.model_copy(update={"num_workers": 3})) is not None
    assert validity_of(recipe, kind=SupernetSearchConfig) is None
    whole = recipe.model_copy(update={"stop_after": None, "criterion": "miou"})
    assert validity_of(whole).tau == validity_of(whole).ceiling
    shipped(arches=5)
    assert validity_of(recipe) is None


def test_rank_begins_to_hold_at_the_first_step_that_ranks_as_the_end_does(recipe, shipped):
    shipped(arches=12, noise=0.04)

    def first(changed):
        config = SearchConfig(space="a_space", data=DATA, recipe=changed, trials=9)
        return module.valid_from(config)

    found = first(recipe)
    assert found == validity_of(recipe)  # step 50 ranks the other way round
    assert found.tau.value >= module.VALID_TAU
    assert found.tau.low > module.VALID_LOW
    assert first(recipe.model_copy(update={"criterion": "miou"})).step == 50
    assert first(recipe.model_copy(update={"steps": 500})) is None


def test_where_no_score_ranks_surely_nothing_is_begun_from():
    camvid = module.load_benchmark("camvid")  # shipped, of too few architectures to tell
    plan = load_recipe("camvid")
    data = DataConfig.rooted({**camvid.study["data"], "root": "."})
    config = SearchConfig(space="a_space", data=data, recipe=plan.recipe, trials=9)
    assert module.validity_of(config) is not None
    assert module.valid_from(config) is None


def test_a_search_says_what_its_scores_are_worth(recipe, shipped, record):
    shipped()
    found = validity_of(recipe)
    summary = summarise([record()])
    (known,) = [f for f in search_verdict(summary, 0, None, validity=found) if f.name == "validity"]
    assert known.facts == {
        "step": 150,
        "steps": 600,
        "tau": found.tau,
        "ceiling": found.ceiling,
        "num_architectures": 8,
    }
    assert found.tau.describe() in known.text
    assert known.hint is None
    names = {finding.name: finding.hint for finding in search_verdict(summary, 0, None)}
    assert "validity" not in names
    assert names["validity_unknown"] == "measure_validity"


def test_a_search_by_halving_says_what_every_rung_is_worth(recipe, shipped, record):
    shipped()
    top, low = validity_of(recipe), validity_of(recipe.model_copy(update={"stop_after": 50}))
    said = search_verdict(summarise([record()]), 0, None, validity=top, lower=[low])
    (known,) = [finding for finding in said if finding.name == "validity"]
    assert known.facts["tau_50"] == low.tau
    assert f"after 50, by which some go on, to {low.tau.describe()}" in known.text
