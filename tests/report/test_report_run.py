"""A run directory as a report reads it, and the figures that are made from it."""

import json
import random
from itertools import pairwise

import pytest
from PIL import Image

from hrvit_nas.report import ReportError, draw_allocation, draw_importance
from hrvit_nas.report.allocation import allocation_data
from hrvit_nas.report.hypervolume_history import comparable, hypervolume_history
from hrvit_nas.report.importance import importance_data
from hrvit_nas.report.learning import learning_data
from hrvit_nas.report.parallel import parallel_data
from hrvit_nas.report.published import published_results
from hrvit_nas.report.run import load_run
from hrvit_nas.report.verdict import search_verdict
from hrvit_nas.results import SCHEMA_VERSION, HistoryPoint, StoreError, hypervolume
from hrvit_nas.results.store import sealed
from hrvit_nas.search.config_parts import ConfigError


@pytest.fixture(scope="module")
def run(whole_run):
    return load_run(whole_run)


def test_a_run_knows_what_it_is(run):
    assert (run.name, run.config.kind, run.dataset, run.image_size) == (
        "search",
        "search",
        "scenes",
        (32, 48),
    )
    assert run.seeds == (0, 1, 2)
    assert run.num_classes == 8
    assert run.space.name == "heterogeneous_branches"
    assert {record.arch for record in run.records} == {""}


def test_the_sample_holds_the_frontier_first_and_specs_have_their_ids(run):
    sample = run.sample
    frontier = [row.arch_id for row in run.summary.frontier]
    assert list(sample)[: len(frontier)] == frontier
    assert len(sample) == 16
    assert all(spec.id == arch_id for arch_id, spec in sample.items())


def test_what_cannot_be_read_is_one_line(tmp_path, write_run, trials_of):
    with pytest.raises(ConfigError, match=r"holds no run \(config.json is missing\)"):
        load_run(tmp_path)
    run = write_run(tmp_path / "newer", trials_of(1))
    journal = run / "trials.jsonl"
    whole = journal.read_bytes()
    newer = whole.splitlines()[0].rpartition(b',"crc32":')[0]
    newer = newer.replace(b'"schema_version":%d' % SCHEMA_VERSION, b'"schema_version":99')
    journal.write_bytes(sealed(newer))
    with pytest.raises(StoreError, match=r"has schema version 99.*a newer hrvit_nas"):
        load_run(run)
    journal.write_bytes(whole)
    config = json.loads((run / "config.json").read_text())
    config.pop("sha256", None)
    config["config"]["of_tomorrow"] = 1
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="of_tomorrow"):
        load_run(run)


def test_importance_and_allocation_say_what_they_come_from(run, tmp_path):
    importance = importance_data(run)
    assert "16 searched architectures" in importance.caption
    assert set(importance.targets) == {"mIoU", "few multiply-adds"}
    names = {gene.gene for gene in importance.targets["mIoU"].genes}
    assert "width_1" in names
    assert "stem_width" not in names  # it has one choice
    allocation = allocation_data(run)
    assert "seeds 0, 1, 2" in allocation.caption
    assert allocation.findings[-1].name == "not_at_equal_cost"
    for draw, data, name in (
        (draw_importance, importance, "importance.png"),
        (draw_allocation, allocation, "allocation.png"),
    ):
        draw(data, tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.width == 1050  # 3.5 inches, a column of a paper


def test_few_architectures_have_no_importance(write_run, trials_of, tmp_path):
    run = load_run(write_run(tmp_path / "few", trials_of(5)))
    with pytest.raises(ReportError, match="at least 12 architectures, got shape"):
        importance_data(run)


def test_lines_of_parallel_coordinates_are_the_genes_of_their_architectures(run):
    data = parallel_data(run)
    space = run.space
    width = next(axis for axis in data.axes if axis.name == "width_1")
    for arch_id, value in zip(data.arch_ids, width.values, strict=True):
        genes = space.genes_of(run.sample[arch_id])
        assert width.choices[int(value)] == str(genes["width_1"])
    assert [axis.name for axis in data.axes[-2:]] == ["GMACs", "mIoU in the search (%)"]
    assert "n = 16 architectures; scores of the search, seed 0" in data.caption


def test_learning_curves_are_those_of_the_history(run):
    chosen = [row.arch_id for row in run.summary.frontier]
    data = learning_data(run, chosen)
    assert {curve.steps for curve in data.curves} == {(1, 2, 3)}
    records = [r for r in run.records if r.arch_id == chosen[0]]
    mine = [curve for curve in data.curves if curve.name == chosen[0]]
    assert [curve.seed for curve in mine] == sorted(record.seed for record in records)
    assert mine[0].miou[-1] == pytest.approx(100 * records[0].history[-1].miou)
    assert all(low <= high for low, high in zip(data.low, data.high, strict=True))


def test_trials_with_one_evaluation_have_no_learning_curves(write_run, record, tmp_path):
    run = load_run(write_run(tmp_path / "once", [record()]))
    assert learning_data(run, ["0123456789ab"]) is None


def samplers(write_run, trials_of, folder, **settings):
    runs = []
    for sampler, gain in (("random", 0.0), ("nsga2", 0.05)):
        for seed in range(3):
            records = [
                item.model_copy(update={"miou": item.miou + gain, "seconds": 2.0, "seed": seed})
                for item in trials_of(6 + seed, seed)
            ]
            name = folder / f"{sampler}-{seed}"
            runs.append(load_run(write_run(name, records, sampler=sampler, seed=seed, **settings)))
    return runs


def test_the_history_is_the_hypervolume_so_far_and_beside_random_search(
    write_run, trials_of, tmp_path
):
    runs = samplers(write_run, trials_of, tmp_path)
    assert [len(group) for group in comparable(runs)] == [6]
    data = hypervolume_history(runs)
    curves = {curve.label: curve for curve in data.by_evaluations.curves}
    assert curves["random"].seeds == (0, 1, 2)
    assert curves["random"].x == (1, 2, 3, 4, 5, 6)  # as far as the shortest goes
    corner = max(record.macs for run in runs for record in run.records)
    areas = [
        100 * hypervolume([(r.miou, r.macs) for r in run.records[:4]], (0.0, corner)) / corner
        for run in runs[:3]
    ]
    assert curves["random"].mean[3] == pytest.approx(sum(areas) / 3)
    assert curves["random"].low[3] < curves["random"].mean[3] < curves["random"].high[3]
    assert [curve.x[0] for curve in data.by_seconds.curves] == [2.0, 2.0]
    (found,) = data.findings
    assert (found.facts["label"], found.facts["num_evaluations"]) == ("nsga2", 6)
    assert found.facts["difference"].verdict == "higher"
    assert found.facts["difference"].interval.num_values == 3


def by_loss(trials, rng):
    """Trials whose cross entropy says the contrary of their mIoU."""
    return [
        trial.model_copy(
            update={
                "history": (
                    HistoryPoint(3, trial.miou, cross_entropy=1 + trial.miou + rng.gauss(0, 0.01)),
                )
            }
        )
        for trial in trials
    ]


def test_a_search_by_cross_entropy_is_reported_by_it(write_run, trials_of, tmp_path, make_config):
    recipe = make_config().recipe.model_dump() | {"criterion": "cross_entropy"}
    trials = by_loss(trials_of(16), random.Random(0))
    noise = {
        **{"run": "x", "steps": 1, "num_architectures": 6, "num_seeds": 2, "macs": [1, 2]},
        **{"noise": 0.01, "seed_tau": "0.5", "residual_tau": "0.4"},
    }
    settings = {"recipe": recipe, "proxy_noise": noise | {"criterion": "cross_entropy"}}
    run = load_run(write_run(tmp_path / "loss", trials, **settings))
    losses = {trial.arch_id: trial.history[-1].cross_entropy for trial in trials}
    summary = run.summary
    assert losses[summary.frontier[-1].arch_id] == min(losses.values())
    assert summary.probabilities[summary.frontier[-1].arch_id] > 0.3
    data = hypervolume_history([run])
    (curve,) = data.by_evaluations.curves
    dearest, worst = max(trial.macs for trial in trials), max(losses.values())
    points = [(-losses[trial.arch_id], trial.macs) for trial in trials]
    expected = [
        worst - hypervolume(points[: n + 1], (-worst, dearest)) / dearest for n in range(16)
    ]
    assert curve.mean == pytest.approx(expected)
    assert all(after <= before for before, after in pairwise(curve.mean))
    assert data.by_evaluations.y_label == "normalised hypervolume: cross entropy (nats)"
    assert f"below the worst cross entropy of all, {worst:.3g}" in data.caption
    by_miou = load_run(write_run(tmp_path / "miou", trials))
    ours, theirs = importance_data(run).targets, importance_data(by_miou).targets
    assert set(ours) == {"cross entropy", "few multiply-adds"}
    assert ours["few multiply-adds"] == theirs["few multiply-adds"]
    assert ours["cross entropy"] != theirs["mIoU"]
    (noise,) = [f for f in search_verdict(summary, 0, run.config.proxy_noise) if f.name == "noise"]
    assert "cross entropy has a deviation of 0.01 nats" in noise.text
    older = search_verdict(
        summary, 0, run.config.proxy_noise.model_copy(update={"criterion": "miou"})
    )
    assert [f.hint for f in older if f.name == "noise_of_another_score"] == ["calibrate"]
    assert not any(f.name == "noise" for f in older)


def test_the_hypervolume_of_two_costs_is_a_volume(write_run, trials_of, tmp_path):
    trials = trials_of(8)
    costs = ["macs", "peak_activation_bytes"]
    run = load_run(write_run(tmp_path / "both", trials, costs=costs))
    data = hypervolume_history([run])
    points = [(trial.miou, trial.macs, trial.peak_activation_bytes) for trial in trials]
    _, *dearest = map(max, zip(*points, strict=True))
    volume = hypervolume(points, (0.0, *dearest)) / (dearest[0] * dearest[1])
    assert data.by_evaluations.curves[0].mean[-1] == pytest.approx(100 * volume)
    assert "volume under the frontier from 0 to the highest multiply-adds and peak" in data.caption
    more = load_run(write_run(tmp_path / "more", trials_of(12), costs=costs))
    assert set(importance_data(more).targets) == {
        *("mIoU", "few multiply-adds", "low peak activation memory")
    }


def test_without_a_random_search_nothing_is_claimed(run):
    data = hypervolume_history([run])
    assert [(found.name, found.hint) for found in data.findings] == [
        ("no_baseline", "random_search")
    ]
    assert data.by_evaluations.curves[0].seeds == (0,)


@pytest.mark.parametrize("change", ["steps", "batch_size", "narrowing", "costs"])
def test_searches_under_other_conditions_are_not_compared(
    write_run, trials_of, tmp_path, run, change, make_config
):
    config = make_config()
    recipe, narrowing = config.recipe.model_dump(), config.narrowing.model_dump()
    changes = {
        "steps": {"recipe": recipe | {"steps": 7}},
        "batch_size": {"recipe": recipe | {"batch_size": 3}},
        "narrowing": {
            "narrowing": narrowing | {"choices": {**narrowing["choices"], "width_1": (8,)}}
        },
        "costs": {"costs": ["params"]},
    }
    other = load_run(write_run(tmp_path / "other", trials_of(2), **changes[change]))
    assert [len(group) for group in comparable([run, other])] == [1, 1]


def test_a_run_given_twice_counts_once_and_twins_are_told_apart(write_run, trials_of, tmp_path):
    one = load_run(write_run(tmp_path / "x" / "run", trials_of(4)))
    two = load_run(write_run(tmp_path / "y" / "run", trials_of(5, 1)))
    assert [len(group) for group in comparable([one, one])] == [1]
    searched = trials_of(4, 2)
    other = load_run(write_run(tmp_path / "z" / "run", searched, sampler="nsga2"))
    data = hypervolume_history([one, two, other])
    labels = [curve.label for curve in data.by_evaluations.curves]
    assert len(labels) == len(set(labels)) == 3
    assert "n = 3 runs" in data.caption
    (found,) = [finding for finding in data.findings if finding.name == "beside_baseline"]
    assert found.facts["num_evaluations"] == 4
    assert not found.facts["difference"].interval.known


def test_failed_trials_are_evaluations_too(write_run, trials_of, tmp_path):
    records = trials_of(6)
    for place in (1, 4):
        spec = records[place].spec
        records[place] = trials_of.trial(spec, number=place, state="failed", error="NaN")
    data = hypervolume_history([load_run(write_run(tmp_path / "some", records))])
    (curve,) = data.by_evaluations.curves
    assert curve.x == (1, 2, 3, 4, 5, 6)
    assert curve.mean[1] == curve.mean[0]


def test_a_supernets_search_is_left_out_and_said_to_be(write_run, trials_of, tmp_path, run):
    scored = trials_of(3, evaluator="inherited")
    other = write_run(tmp_path / "super", scored, "supernet_search")
    data = hypervolume_history([run, load_run(other)])
    assert [f.facts["runs"] for f in data.findings if f.name == "left_out"] == [["super"]]
    assert "with seed 0;" in data.caption or data.caption.endswith("with seed 0")


def test_a_large_run_is_sampled_and_says_so(whole_run, monkeypatch):
    monkeypatch.setattr("hrvit_nas.report.run.MOST_SAMPLED", 12)
    run = load_run(whole_run)
    assert len(run.drawn) == 12
    assert {row.arch_id for row in run.summary.frontier} <= run.sample.keys()
    assert "12 searched architectures of 16" in importance_data(run).caption
    assert "of 16;" in allocation_data(run).caption


def test_genes_are_of_the_space_that_was_searched_whatever_is_declared_since(
    write_run, trials_of, tmp_path
):
    directory = write_run(tmp_path / "old", trials_of(3))
    content = json.loads((directory / "config.json").read_text())
    content.pop("sha256", None)
    content["config"]["space"] = "gone.yaml"
    (directory / "config.json").write_text(json.dumps(content))
    assert len(parallel_data(load_run(directory)).arch_ids) == 3
    content["space"]["genes"][0]["field"] = "nonsense"
    (directory / "config.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match="its space is damaged"):
        parallel_data(load_run(directory))


def test_published_results_are_of_their_data_sets_alone(reference_dir):
    page = (reference_dir / "hrvit.md").read_text()
    for dataset in ("ade20k", "cityscapes"):
        results = published_results(dataset)
        assert len(results) == 11
        for result in results:
            # The page writes 81.0 and 50.20 so; every figure of ours stands there.
            assert any(f"{result.miou:.{digits}f}" in page for digits in (1, 2))
            assert f"{result.gmacs:.1f}" in page
    assert published_results("camvid") == ()
