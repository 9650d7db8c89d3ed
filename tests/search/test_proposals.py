"""What an Optuna sampler proposes: in the space, within its limits, never twice, and resumable."""

import warnings
from datetime import UTC, datetime
from random import Random

import optuna
import pytest
from optuna.trial import TrialState

from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import TrialRecord
from hrvit_nas.search.config import ConfigError
from hrvit_nas.search.proposals import (
    Proposals,
    SpaceExhaustedError,
    default_population,
    objective_values,
)

TRIALS = 20
# Some 50 of the 384 members of the tiny space cost no more.
TIGHT = 2.5e6


def record_of(trial, *, state="complete"):
    """A record with a score that is a function of the architecture."""
    cost = estimate_cost(trial.arch, (32, 48), num_classes=10)
    scored = {"miou": int(trial.arch.id, 16) % 1000 / 1000}
    return TrialRecord(
        number=trial.number,
        arch_id=trial.arch.id,
        arch=trial.arch.to_json(),
        purpose="search",
        budget=trial.budget,
        seed=trial.seed,
        macs=cost.macs,
        published_macs=cost.published_macs,
        params=cost.params,
        peak_activation_bytes=cost.peak_activation_bytes,
        seconds=1.0,
        steps=1,
        finished_at=datetime.now(UTC),
        state=state,
        **(scored if state == "complete" else {"error": "diverged"}),
    )


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


def study_of(storage):
    return optuna.load_study(study_name="search", storage=storage)


def scored(proposals, number, **how):
    """Proposes, scores and tells one architecture."""
    trial = proposals.next(number)
    record = record_of(trial, **how)
    proposals.finish(trial.proposal, objective_values(record, "macs"))
    return trial, record


def tight(make_config, **changes):
    config = make_config(trials=TRIALS, **changes)
    narrowing = config.narrowing.model_dump(exclude_unset=True)
    limit = {"metric": "macs", "max": TIGHT, "image_size": [32, 48], "num_classes": 10}
    return make_config(trials=TRIALS, narrowing={**narrowing, "limits": [limit]}, **changes)


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "gp", "random"])
def test_proposals_are_new_members_within_the_limits(sampler, make_config, storage):
    trials = 8 if sampler == "gp" else TRIALS
    config = tight(make_config, sampler=sampler)
    space = config.load_space()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a user would read them
        proposals = Proposals(config, space, storage, [])
        done = [scored(proposals, number) for number in range(trials)]
    specs = {trial.proposal: trial.arch for trial, _ in done}
    assert len({spec.id for spec in specs.values()}) == trials
    assert [space.refusal(spec) for spec in specs.values()] == [None] * trials
    assert all(record.macs <= TIGHT for _, record in done)

    study = study_of(storage)
    pruned = study.get_trials(states=(TrialState.PRUNED,))
    assert pruned, "no proposal was outside so tight a limit"
    assert all(trial.user_attrs["refused"] for trial in pruned)
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    assert {trial.number for trial in complete} == set(specs)
    for trial in complete:
        # What the sampler learns from is what was trained.
        assert space.nearest(trial.params, Random(0)) == specs[trial.number]
        assert ArchSpec.from_json(trial.user_attrs["arch"]) == specs[trial.number]
    told = {trial.number: tuple(trial.values) for trial in complete}
    assert told == {trial.proposal: objective_values(record, "macs") for trial, record in done}
    repeated = study.get_trials(states=(TrialState.FAIL,))
    assert all(trial.user_attrs["refused"].startswith("already") for trial in repeated)
    assert len(study.get_trials()) == len(pruned) + len(repeated) + len(complete)


def test_the_same_seed_proposes_the_same(make_config, tmp_path):
    def run(name, seed):
        config = make_config(sampler="nsga2", population=4, seed=seed)
        proposals = Proposals(config, config.load_space(), f"sqlite:///{tmp_path}/{name}.db", [])
        return [scored(proposals, number)[0].arch.id for number in range(10)]

    first, second, other = run("first", 3), run("second", 3), run("other", 4)
    assert first == second
    assert first != other


def test_after_a_kill_the_study_is_brought_in_line_and_the_rest_handed_out_again(
    make_config, storage
):
    config = make_config()
    space = config.load_space()
    proposals = Proposals(config, space, storage, [])
    first = [proposals.next(number) for number in range(5)]
    finished, failed, untold, *lost = first
    records = [record_of(finished), record_of(failed, state="failed"), record_of(untold)]
    proposals.finish(finished.proposal, objective_values(records[0], "macs"))
    # Killed here: one failure and one score are in the store, but the study was not told.
    study_of(storage).ask()  # and one proposal was cut off before its architecture was known

    resumed = Proposals(config, space, storage, records)
    told = {trial.number: trial for trial in study_of(storage).get_trials()}
    assert told[failed.proposal].state == TrialState.FAIL
    assert told[untold.proposal].state == TrialState.COMPLETE
    assert tuple(told[untold.proposal].values) == objective_values(records[2], "macs")
    assert told[5].state == TrialState.FAIL

    again = [resumed.next(number) for number in range(5, 10)]
    assert [(trial.arch, trial.proposal) for trial in again[:2]] == [
        (trial.arch, trial.proposal) for trial in lost
    ]
    assert len({trial.arch.id for trial in first} | {trial.arch.id for trial in again}) == 8


def test_sittings_propose_no_architecture_twice(make_config, storage):
    config = make_config(sampler="nsga2", population=4)
    records = []
    for _ in range(4):
        proposals = Proposals(config, config.load_space(), storage, records)
        records += [scored(proposals, len(records) + number)[1] for number in range(4)]
    assert len({record.arch_id for record in records}) == 16


def test_a_replacement_that_a_kill_left_waiting_is_taken_up_consistently(make_config, storage):
    config = make_config()
    space = config.load_space()
    Proposals(config, space, storage, [])
    params = {gene.name: gene.choices[-1] for gene in space.genes if len(gene.choices) > 1}
    study_of(storage).enqueue_trial(params)
    trial, _ = scored(Proposals(config, space, storage, []), 0)
    assert trial.arch == space.nearest(params, Random(0))
    assert study_of(storage).trials[trial.proposal].params == params


def test_an_exhausted_space_says_so(make_config, storage):
    config = make_config()
    one = {gene.name: gene.choices[:1] for gene in config.load_space().genes}
    two = {**one, "expansion_ratio_1": (1, 2), "expansion_ratio_2": (1, 2)}
    narrowing = config.narrowing.model_copy(update={"choices": two})
    config = config.model_copy(update={"narrowing": narrowing})
    proposals = Proposals(config, config.load_space(), storage, [])
    assert len({scored(proposals, number)[0].arch.id for number in range(4)}) == 4
    with pytest.raises(SpaceExhaustedError, match=r"no further architecture .* 4 trained"):
        proposals.next(4)


def test_a_storage_that_cannot_be_used_is_one_line(make_config, tmp_path):
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    for storage in (
        "sqlite:////no/such/folder/study.db",
        f"sqlite:///{tmp_path}/noise.db",
        "nonsense",
        "mysql+nodriver://host/db",
    ):
        with pytest.raises(ConfigError) as caught:
            Proposals(make_config(), make_config().load_space(), storage, [])
        assert storage in str(caught.value)
        assert "\n" not in str(caught.value)


def test_runs_that_share_a_storage_keep_apart(make_config, storage):
    ours, theirs = make_config(study="ours"), make_config(study="theirs")
    space = ours.load_space()
    waiting = Proposals(ours, space, storage, []).next(0)
    other = Proposals(theirs, space, storage, [])
    assert other.next(0).proposal == 0
    assert len(optuna.get_all_study_names(storage)) == 2
    assert Proposals(ours, space, storage, []).next(0).arch == waiting.arch


@pytest.mark.parametrize(("trials", "expected"), [(1, 4), (16, 4), (40, 10), (1000, 50)])
def test_the_population_follows_the_budget(trials, expected):
    assert default_population(trials) == expected
