"""Runs by the synthetic objective: nothing is trained, and all else is as ever."""

import pytest
from pydantic import ValidationError

from hrvit_nas.arch import get_hrvit, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import DataConfig, load_data
from hrvit_nas.execution import Resources
from hrvit_nas.results import Trial
from hrvit_nas.search.run import continue_run, create_run, open_run
from hrvit_nas.search.synthetic import ObjectiveWorker, fails, miou_after, shared_by_scores

ARCH = scale_widths(get_hrvit("hrvit_b1"), 0.25)
LARGE = get_hrvit("hrvit_b1")
NONE = DataConfig(name="none", noise=0.01, image_size=(32, 48))
HALVING = {"scheduler": {"grace_period": 2, "reduction_factor": 2}, "references": []}


def cost(spec):
    return estimate_cost(spec, (32, 48), num_classes=19)


def changed(**fields):
    return NONE.model_copy(update=fields)


class Quiet:
    def started(self, trial): ...

    def ended(self, record, summary): ...


class Stopping(Quiet):
    """Asks to stop after some trials."""

    def __init__(self, after):
        self.left = after

    def started(self, trial):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


def finish(run, observer=None):
    try:
        continue_run(run, observer or Quiet())
    finally:
        run.close()
    return run.store.records()


@pytest.fixture
def recipe():
    crops = {"crop_size": [32, 48]}
    return {"steps": 8, "batch_size": 2, "warmup_steps": 0, "evaluations": 4, "augment": crops}


@pytest.fixture
def make_none(make_config, recipe):
    """Makes the configuration of a run by the objective."""

    def make(kind="search", data=NONE, **changes):
        return make_config(kind, **{"data": data, "recipe": recipe, **changes})

    return make


def told(result):
    """What a trial scored, without how long it took."""
    return result.state, result.miou, [point[:6] for point in result.history], result.error


def scores(records):
    return {record.key: told(record) for record in records}


def test_a_score_hangs_on_architecture_seed_and_step_alone():
    again = [miou_after(cost(ARCH), 200, 3, NONE) for _ in range(2)]
    assert again[0] == again[1]
    others = [
        miou_after(cost(LARGE), 200, 3, NONE),
        miou_after(cost(ARCH), 201, 3, NONE),
        miou_after(cost(ARCH), 200, 4, NONE),
        miou_after(cost(ARCH), 200, 3, changed(seed=1)),
    ]
    assert len({again[0], *others}) == 5


def test_without_noise_scores_rise_with_steps_and_cost_and_hang_on_no_seed():
    quiet = changed(noise=0.0)
    curve = [miou_after(cost(ARCH), step, 0, quiet) for step in (0, 10, 100, 1000, 10_000)]
    assert curve[0] == 0
    assert curve == sorted(set(curve))
    assert miou_after(cost(ARCH), 100, 0, quiet) == miou_after(cost(ARCH), 100, 9, quiet)
    assert miou_after(cost(LARGE), 10_000, 0, quiet) > curve[-1] + 0.05


def test_noise_has_the_deviation_asked_for():
    quiet = miou_after(cost(ARCH), 200, 0, changed(noise=0.0))
    drawn = [miou_after(cost(ARCH), 200, seed, NONE) - quiet for seed in range(2000)]
    deviation = (sum(d * d for d in drawn) / len(drawn)) ** 0.5
    assert deviation == pytest.approx(0.01, rel=0.1)
    assert abs(sum(drawn) / len(drawn)) < 0.001


def test_the_share_asked_for_fails():
    quarter = changed(failure_rate=0.25)
    share = sum(fails(ARCH.id, seed, quarter) for seed in range(2000)) / 2000
    assert share == pytest.approx(0.25, abs=0.04)
    assert not any(fails(ARCH.id, seed, NONE) for seed in range(100))
    assert all(fails(ARCH.id, seed, changed(failure_rate=1)) for seed in range(100))


def test_there_are_classes_and_no_images(tmp_path):
    data = load_data(NONE, tmp_path / "cache")
    assert (len(data.train), len(data.val), data.num_classes) == (0, 0, 19)
    with pytest.raises(IndexError):
        data.train.load(0)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"noise": -0.1}, "greater than or equal to 0"),
        ({"noise": float("nan")}, "less than or equal to 1"),
        ({"delay_s": float("inf")}, "less than or equal to 86400"),
        ({"failure_rate": 1.1}, "less than or equal to 1"),
        ({"root": "x"}, "'none' does not read root"),
        ({"num_train": 3}, "'none' does not read num_train"),
        ({"name": "scenes", "noise": 0.1}, "'scenes' does not read noise"),
    ],
)
def test_what_means_nothing_is_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        DataConfig(**{"name": "none", **fields})


def test_a_supernet_is_refused(make_none):
    with pytest.raises(ValidationError, match=r"a supernet must have images .* 'none'"):
        make_none("supernet_search")


def test_a_run_has_failures_with_reasons_and_no_weights(make_none, tmp_path):
    config = make_none(data=changed(failure_rate=0.3), trials=12, confirm=1)
    records = finish(create_run(config, tmp_path / "run"))
    failed = [record for record in records if record.state == "failed"]
    assert 0 < len(failed) < len(records)
    assert all("failure rate is 0.3" in record.error for record in failed)
    done = next(record for record in records if record.state == "complete")
    assert [point.step for point in done.history] == [2, 4, 6, 8]
    assert done.history[-1].miou == done.miou
    assert done.history[-1].cross_entropy > 0
    assert {r.purpose for r in records} == {"search", "reference", "confirmation"}
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert not (tmp_path / "run" / "training").exists()


def test_an_interrupted_run_scores_as_one_that_was_not(make_none, tmp_path):
    config = make_none(**HALVING, data=changed(failure_rate=0.2), trials=8, confirm=1)
    with pytest.raises(KeyboardInterrupt):
        finish(create_run(config, tmp_path / "run"), Stopping(5))
    run = open_run(tmp_path / "run")
    worker = ObjectiveWorker(shared_by_scores(run))
    records = finish(run)
    assert {record.budget for record in records} == {2, 4, 8}
    assert len({record.key for record in records}) == len(records)
    again = {}
    for record in records:
        same = {name: getattr(record, name) for name in ("number", "seed", "purpose", "budget")}
        again[record.key] = worker.run(Trial(arch=record.spec, **same))
    assert {key: told(result) for key, result in again.items()} == scores(records)


def test_a_calibration_finds_the_noise(make_none, tmp_path):
    from hrvit_nas.results import calibrate

    config = make_none("calibration", architectures=12, num_seeds=3)
    found = calibrate(finish(create_run(config, tmp_path / "run")), "miou")
    assert found.final.components.seeds.value == pytest.approx(0.01, rel=0.4)


def test_the_other_scores_and_a_latency_are_there(make_none, recipe, tmp_path):
    averaging = {**recipe, "weight_averaging": 0.9}
    config = make_none(recipe=averaging, costs=["latency_ms"], trials=2, references=[])
    run = create_run(config, tmp_path / "run")
    worker = ObjectiveWorker(shared_by_scores(run))
    run.close()
    result = worker.run(Trial(number=0, arch=ARCH, seed=0, purpose="search", budget=8))
    last = result.history[-1]
    assert result.miou == last.averaged_miou
    assert 0 < last.boundary_miou < last.miou < last.fw_iou < 1
    assert result.latency_ms > 1


def test_a_worker_that_does_not_see_the_run_says_so(make_none, tmp_path):
    run = create_run(make_none(), tmp_path / "run")
    run.close()
    with pytest.raises(NotADirectoryError, match="put it on shared storage"):
        ObjectiveWorker({**shared_by_scores(run), "directory": str(tmp_path / "nowhere")})


@pytest.mark.ray
@pytest.mark.usefixtures("ray_runtime")
def test_ray_scores_the_same(make_none, tmp_path):
    config = make_none(data=changed(failure_rate=0.2), trials=8, confirm=1)
    here = finish(create_run(config, tmp_path / "here"))
    on_ray = config.model_copy(update={"resources": Resources(workers=2)})
    there = finish(create_run(on_ray, tmp_path / "there"))
    shared = scores(here).keys() & scores(there).keys()
    assert len(shared) >= 8
    assert {k: scores(here)[k] for k in shared} == {k: scores(there)[k] for k in shared}
