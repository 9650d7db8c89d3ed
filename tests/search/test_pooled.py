"""Several searches looked at as one."""

import json
import random

import pytest
import torch

from hrvit_nas.data import load_data, val_batches
from hrvit_nas.evaluation import evaluate
from hrvit_nas.results import StoreError, TrialStore
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.pooled import read_runs
from hrvit_nas.search.supernet import build_from, extract_subnet, load_scorer
from hrvit_nas.training import SupernetProgress, save_supernet

A, B = "aaaaaaaaaaaa", "bbbbbbbbbbbb"


@pytest.fixture
def make_run(make_config, record, tmp_path):
    """Makes the run directory of a search from records, without training."""

    def make(name, records=(), kind="search", **changes):
        config = make_config(kind, **changes)
        with TrialStore(tmp_path / name, write=True) as store:
            for fields in records:
                store.append(record(**fields))
        content = {"config": config.model_dump(mode="json"), "space": config.load_space().to_dict()}
        (tmp_path / name / "config.json").write_text(json.dumps(content))
        return tmp_path / name

    return make


def test_runs_share_a_frontier(make_run):
    first = make_run("first", [{"arch_id": A, "macs": 10, "params": 9, "miou": 0.3}])
    second = make_run("second", [{"arch_id": B, "macs": 20, "params": 5, "miou": 0.4}], trials=9)
    runs = read_runs([first, str(second)])
    assert runs.directories == (first, second)
    assert [row.arch_id for row in runs.summary().frontier] == [A, B]
    assert [row.arch_id for row in runs.summary("params").frontier] == [B]
    assert runs.config.trials == 4


def test_the_noise_is_that_of_the_first_runs_calibration(make_run):
    noise = {
        **{"run": "calibration", "steps": 1, "num_architectures": 6, "num_seeds": 2},
        **{"macs": [1, 2], "noise": 0.02, "seed_tau": "", "residual_tau": ""},
    }
    assert read_runs([make_run("run", proxy_noise=noise)]).summary().noise == 0.02


def test_runs_that_cannot_be_compared_are_refused(make_run, make_config, tmp_path):
    first = make_run("first")
    recipe = make_config().recipe.model_dump(mode="json")
    assert read_runs([first, make_run("as-well", recipe={**recipe, "eval_batch_size": 3})])
    # By what a search ranks changes no score; what it confirms by does.
    assert read_runs([first, make_run("by-loss", recipe={**recipe, "criterion": "cross_entropy"})])
    confirmed = make_run("confirmed", long={**recipe, "steps": 5})
    with pytest.raises(ConfigError, match=r"differ in recipe\.long"):
        read_runs([first, confirmed])
    recalibrated = {**recipe, "recalibration_batches": 1}
    two = make_run("two", recipe=recalibrated)
    three = make_run("three", recipe={**recalibrated, "eval_batch_size": 3})
    with pytest.raises(ConfigError, match=r"differ in recipe\.eval_batch_size"):
        read_runs([two, three])
    longer = make_run("longer", recipe={**recipe, "steps": 2})
    with pytest.raises(ConfigError, match=r"differ in recipe.steps \(2 and 1\)"):
        read_runs([first, longer])
    data = make_config().data.model_copy(update={"seed": 5}).model_dump(mode="json")
    with pytest.raises(ConfigError, match=r"differ in data.seed \(5 and 0\)"):
        read_runs([first, make_run("other-data", data=data)])
    with pytest.raises(ConfigError, match="holds a calibration"):
        read_runs([make_run("calibration", kind="calibration")])
    with pytest.raises(ConfigError, match="at least one run directory"):
        read_runs([])
    with pytest.raises(ConfigError, match="holds no run"):
        read_runs([tmp_path / "none"])
    (first / "trials.jsonl").unlink()
    with pytest.raises(StoreError, match="cannot open"):
        read_runs([first])


def test_weights_are_those_of_the_lowest_seed_that_was_kept(make_run):
    records = [
        {"arch_id": A, "miou": 0.3},
        *({"arch_id": A, "purpose": "confirmation", "seed": seed} for seed in (1, 2)),
    ]
    first, second = make_run("first", records), make_run("second")
    runs = read_runs([second, first])
    (row,) = runs.summary().rows
    with pytest.raises(ConfigError, match=f"no weights of {A} in .*second, .*first"):
        runs.weights(row)
    RunLayout(first).weights.mkdir()
    for seed in (0, 1, 2):
        (RunLayout(first).weights / f"{A}-s{seed}.pt").touch()
    assert runs.weights(row).name == f"{A}-s1.pt"  # seed 0 is not among those it is scored by


def test_a_subnet_is_extracted_as_the_run_scores_it(make_run, make_config):
    config = make_config("supernet_search")
    plan = config.supernet_plan(config.seed)
    data = load_data(config.data)
    spec = config.load_space().sample(random.Random(0))
    without = make_run("without")
    records = [{"arch_id": spec.id, "arch": spec.to_json()}, {"number": 1}]
    directory = make_run("run", records, "supernet_search")
    layout = RunLayout(directory)
    rows = {row.arch_id: row for row in read_runs([directory]).summary().rows}
    runs = read_runs([without, directory])
    assert runs.extract(rows[spec.id], data) is None
    with pytest.raises(ConfigError, match=r"has no supernet.pt"):
        extract_subnet(RunLayout(without), plan, data, spec)

    save_supernet(layout.supernet, build_from(plan, data.num_classes), SupernetProgress())
    model = runs.extract(rows.pop(spec.id), data)
    assert not model.training
    with torch.inference_mode():
        found = evaluate(model, val_batches(data.val, batch_size=16), num_classes=10)
    scorer, _ = load_scorer(layout, plan, data, "cpu")
    assert found.cross_entropy == pytest.approx(scorer.score(spec).after.cross_entropy)
    (elsewhere,) = rows.values()  # a preset at full width, of which the supernet has no form
    assert runs.extract(elsewhere, data) is None
