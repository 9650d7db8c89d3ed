"""What every sampler keeps to: architectures within the limits, never twice, and resumable."""

import itertools
import sqlite3
import warnings
from random import Random
from statistics import fmean

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine

from hrvit_nas.arch import ArchSpec
from hrvit_nas.cost import estimate_cost
from hrvit_nas.samplers import (
    SamplerError,
    SpaceExhaustedError,
    default_population,
)
from hrvit_nas.samplers.first import first_generation
from hrvit_nas.samplers.make import make_sampler
from hrvit_nas.samplers.optuna_parts import OPTUNA_SAMPLERS
from hrvit_nas.samplers.optuna_sampler import ORDERED_ATTRIBUTE, OptunaSampler
from hrvit_nas.space import load_space

NAMES = tuple(OPTUNA_SAMPLERS)
# Some 50 of the 384 architectures of the tiny space cost no more.
TIGHT = {"metric": "macs", "max": 2.5e6, "image_size": [32, 48], "num_classes": 10}


def macs(spec):
    return float(estimate_cost(spec, (32, 48), num_classes=10).macs)


def params(spec):
    return float(estimate_cost(spec, (32, 48), num_classes=10).params)


def values_of(spec, num_costs=1):
    """A score that is a function of the architecture, and its costs."""
    return int(spec.id, 16) % 1000 / 1000, *(cost(spec) for cost in (macs, params)[:num_costs])


@pytest.fixture(scope="module")
def space(make_config):
    return make_config().load_space()


@pytest.fixture(scope="module")
def tight(make_config):
    narrowing = make_config().narrowing.model_dump(exclude_unset=True)
    return make_config(narrowing={**narrowing, "limits": [TIGHT]}).load_space()


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def start(space, storage):
    """Starts a sampler, or goes on with one."""

    def make(name="nsga2", *, over=space, storage=storage, **changes):
        num_costs = changes.pop("num_costs", 1)
        values = {"seed": 0, "population": 4, "costs": (macs, params)[:num_costs], "work": macs}
        values |= changes
        return make_sampler(over, macs, name=name, storage=storage, **values)

    return make


def study_of(storage):
    return optuna.load_study(study_name="search", storage=storage)


def scored(sampler, count, num_costs=1):
    """Asks, scores and tells so many times."""
    found = []
    for _ in range(count):
        number, spec = sampler.ask()
        values = values_of(spec, num_costs)
        sampler.tell(number, values)
        found.append((spec, values))
    return found


@pytest.mark.parametrize("name", NAMES)
class TestContract:
    """What holds of every sampler."""

    @pytest.mark.parametrize("num_costs", [1, 2])
    def test_proposals_are_new_architectures_within_the_limits(
        self, name, num_costs, tight, start, storage
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a user would read them
            sampler = start(name, over=tight, num_costs=num_costs)
            found = scored(sampler, 8 if name == "gp" else 20, num_costs)
        specs = [spec for spec, _ in found]
        assert len(set(specs)) == len(specs)
        assert [tight.refusal(spec) for spec in specs] == [None] * len(specs)
        study = study_of(storage)
        assert len(study.directions) == 1 + num_costs
        pruned = study.get_trials(states=(TrialState.PRUNED,))
        # What knows the costs proposes nothing outside so tight a limit.
        assert bool(pruned) == (name != "ehvi")
        assert all(trial.user_attrs["refused"] for trial in pruned)
        repeated = study.get_trials(states=(TrialState.FAIL,))
        assert all(trial.user_attrs["refused"].startswith("already") for trial in repeated)
        complete = study.get_trials(states=(TrialState.COMPLETE,))
        assert len(study.get_trials()) == len(pruned) + len(repeated) + len(complete)
        assert [tuple(trial.values) for trial in complete] == [values for _, values in found]

    def test_what_it_learns_from_is_what_was_scored(self, name, space, start, storage):
        specs = [spec for spec, _ in scored(start(name), 6)]
        places = {gene.name: gene.choices for gene in space.genes}
        for spec, trial in zip(
            specs, study_of(storage).get_trials(states=(TrialState.COMPLETE,)), strict=True
        ):
            assert ArchSpec.from_json(trial.user_attrs["arch"]) == spec
            held = {gene: places[gene][place] for gene, place in trial.params.items()}
            assert space.nearest(held, Random(0)) == spec
            known = {gene: value for gene, value in trial.user_attrs["genes"].items() if value}
            assert {gene: held[gene] for gene in held if gene in known}.items() <= known.items()

    def test_the_same_seed_proposes_the_same(self, name, start, tmp_path):
        def run(file, seed):
            sampler = start(name, storage=f"sqlite:///{tmp_path}/{file}.db", seed=seed)
            return [spec for spec, _ in scored(sampler, 6)]

        assert run("first", 3) == run("second", 3)
        assert run("other", 4) != run("first again", 3)

    @pytest.mark.parametrize("num_costs", [1, 2])
    def test_sittings_propose_nothing_twice(self, name, num_costs, start):
        told = []
        for _ in range(3):
            told += scored(start(name, told=told, num_costs=num_costs), 3, num_costs)
        assert len({spec for spec, _ in told}) == 9

    @pytest.mark.parametrize("num_costs", [1, 2])
    def test_a_study_made_anew_knows_all_that_was_told(
        self, name, num_costs, start, storage, tmp_path, caplog
    ):
        told = scored(start(name, num_costs=num_costs), 5, num_costs)
        before = study_of(storage).get_trials(states=(TrialState.COMPLETE,))
        (tmp_path / "study.db").unlink()
        failed = start(name).ask().spec, None
        (tmp_path / "study.db").unlink()
        known = {spec for spec, _ in told}
        history = told if failed[0] in known else [*told, failed]
        sampler = start(name, told=history, num_costs=num_costs)
        assert f"the study lacked {len(history)} of {len(history)} trials" in caplog.text
        after = study_of(storage).get_trials(states=(TrialState.COMPLETE,))
        assert [trial.params for trial in after] == [trial.params for trial in before]
        assert [tuple(trial.values) for trial in after] == [values for _, values in told]
        assert [t.user_attrs["genes"] for t in after] == [t.user_attrs["genes"] for t in before]
        again = scored(sampler, 3, num_costs)
        assert len({spec for spec, _ in (*history, *again)}) == len(history) + 3
        caplog.clear()
        start(name, told=[*history, *again], num_costs=num_costs)
        assert caplog.text == ""

    def test_what_is_taken_is_not_proposed(self, name, start):
        proposed = [spec for spec, _ in scored(start(name), 3)]
        taken = [spec.id for spec in proposed[:2]]
        again = start(name, study="another", taken=taken)
        assert not {again.ask().spec.id for _ in range(4)} & set(taken)

    def test_after_a_kill_the_rest_is_handed_out_again(self, name, start, storage):
        sampler = start(name)
        first = [sampler.ask() for _ in range(5)]
        finished, failed, untold, *lost = first
        sampler.tell(finished.number, values_of(finished.spec))
        # Killed here: one failure and one score are on record, but the study was not told.
        study_of(storage).ask()  # and one proposal was cut off before its architecture was known
        told = [
            (finished.spec, values_of(finished.spec)),
            (failed.spec, None),
            (untold.spec, values_of(untold.spec)),
        ]
        resumed = start(name, told=told)
        there = {trial.number: trial for trial in study_of(storage).get_trials()}
        assert there[failed.number].state == TrialState.FAIL
        assert tuple(there[untold.number].values) == values_of(untold.spec)
        again = [resumed.ask() for _ in range(4)]
        assert again[:2] == lost
        assert len({proposal.spec for proposal in [*first, *again]}) == 7

    def test_an_exhausted_space_says_so(self, name, make_config, start):
        config = make_config()
        one = {gene.name: gene.choices[:1] for gene in config.load_space().genes}
        few = {**one, "expansion_ratio_1": (1, 2), "expansion_ratio_2": (1, 2)}
        narrowing = config.narrowing.model_copy(update={"choices": few})
        over = config.model_copy(update={"narrowing": narrowing}).load_space()
        sampler = start(name, over=over)
        assert len({spec for spec, _ in scored(sampler, 4)}) == 4
        for _ in range(2):
            with pytest.raises(SpaceExhaustedError, match=r"no further architecture .* 4 trained"):
                sampler.ask()

    def test_telling_twice_changes_nothing(self, name, start, storage):
        sampler = start(name)
        number, _ = sampler.ask()
        sampler.tell(number, (0.5, 10.0))
        sampler.tell(number, (0.9, 20.0))
        assert study_of(storage).trials[number].values == [0.5, 10.0]


def test_ordered_genes_are_integers_and_others_are_not(storage):
    over = load_space("joint")
    sampler = OptunaSampler(over, macs, name="random", seed=0, population=4, storage=storage)
    sampler.ask()
    kinds = study_of(storage).trials[0].distributions
    for gene in over.genes:
        if len(gene.choices) > 1:
            expected = IntDistribution if gene.ordered else CategoricalDistribution
            assert isinstance(kinds[gene.name], expected), gene.name
    assert {type(kind) for kind in kinds.values()} == {IntDistribution, CategoricalDistribution}


def test_a_study_of_an_earlier_version_goes_on(space, start, storage):
    """There, every gene was categorical."""
    study = optuna.create_study(
        study_name="search", storage=storage, directions=["maximize", "minimize"]
    )
    genes = {gene.name: gene.choices for gene in space.genes if len(gene.choices) > 1}
    first = space.sample(Random(0))
    study.enqueue_trial({name: space.genes_of(first)[name] for name in genes})
    kinds = {name: CategoricalDistribution(choices) for name, choices in genes.items()}
    trial = study.ask(kinds)
    trial.set_user_attr("arch", first.to_json())
    study.tell(trial, values_of(first))
    assert ORDERED_ATTRIBUTE not in study.user_attrs
    found = scored(start(told=[(first, values_of(first))]), 6)
    assert len({first, *(spec for spec, _ in found)}) == 7
    assert {type(kind) for t in study_of(storage).trials for kind in t.distributions.values()} == {
        CategoricalDistribution
    }


def test_what_an_earlier_version_queued_is_taken_up(space, start, storage):
    genes = {gene.name: gene.choices for gene in space.genes if len(gene.choices) > 1}
    last = {name: choices[-1] for name, choices in genes.items()}
    study = optuna.create_study(
        study_name="search", storage=storage, directions=["maximize", "minimize"]
    )
    study.enqueue_trial(last)
    ((spec, _),) = scored(start("random"), 1)
    assert spec == space.nearest(last, Random(0))
    queued, taken = study_of(storage).trials
    assert (queued.state, taken.state) == (TrialState.FAIL, TrialState.COMPLETE)
    assert taken.params == last


def test_the_first_generation_goes_on_in_another_sitting(start):
    whole = [spec for spec, _ in scored(start(population=6, study="whole"), 6)]
    told = scored(start(population=6), 2)
    # Another budget would make another generation, were it not written down.
    told += scored(start(population=9, told=told), 4)
    assert [spec for spec, _ in told] == whole


def test_a_proposal_and_a_score_are_written_as_a_whole(start):
    """Optuna commits each parameter of each trial: some forty times for one proposal."""
    sampler = start()
    commits = []

    def noted(connection):
        commits.append(connection)

    event.listen(Engine, "commit", noted)
    try:
        number, spec = sampler.ask()
        assert len(commits) == 1
        sampler.tell(number, values_of(spec))
        assert len(commits) < 6
    finally:
        event.remove(Engine, "commit", noted)


def test_a_storage_that_cannot_be_used_is_one_line(start, tmp_path):
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    for storage in (
        "sqlite:////no/such/folder/study.db",
        f"sqlite:///{tmp_path}/noise.db",
        "nonsense",
        "mysql+nodriver://host/db",
    ):
        with pytest.raises(SamplerError) as caught:
            start(storage=storage)
        assert storage in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["random", "nsga2"])
def test_a_database_that_is_full_is_one_line_and_nothing_is_lost(start, name):
    """As on a full disk; SQLite itself is told that there are no more pages."""

    def fill(connection, record):
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")

    def search(sampler):
        while proposal := sampler.ask():
            told[proposal.spec] = values_of(proposal.spec)
            sampler.tell(proposal.number, told[proposal.spec])

    start(name)
    event.listen(Engine, "connect", fill)
    told = {}
    try:
        sampler = start(name)
        with pytest.raises(SamplerError, match="database or disk is full; start or mend it") as e:
            search(sampler)
    finally:
        event.remove(Engine, "connect", fill)
    assert "\n" not in str(e.value)
    again = start(name, told=list(told.items()))
    proposals = [again.ask().spec for _ in range(5)]
    assert not set(proposals) & set(told)


def test_evolution_goes_on_from_a_study_made_anew(start, storage, tmp_path):
    told = scored(start("nsga2"), 10)
    (tmp_path / "study.db").unlink()
    sampler = start("nsga2", told=told)
    complete = study_of(storage).get_trials(states=(TrialState.COMPLETE,))
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in complete]
    assert generations == [0] * 4 + [1] * 4 + [2] * 2
    found = scored(sampler, 6)
    assert not {spec for spec, _ in told} & {spec for spec, _ in found}
    after = study_of(storage).get_trials(states=(TrialState.COMPLETE,))
    reached = {trial.system_attrs.get("NSGAIISampler:generation") for trial in after[10:]}
    assert reached <= {None, 2, 3, 4}


def test_a_study_that_says_something_else_than_was_told_is_refused(start, storage, tmp_path):
    told = scored(start("random"), 3)
    (spec, (score, cost)), *rest = told
    with pytest.raises(SamplerError, match=f"has scored {spec.id} otherwise than the run has"):
        start("random", told=[(spec, (score / 2 + 0.1, cost)), *rest])
    with sqlite3.connect(tmp_path / "study.db") as database:
        database.execute(
            "UPDATE trial_params SET param_value = 1 - param_value WHERE trial_id = 1"
            " AND param_name = 'width_1'"
        )
    database.close()
    with pytest.raises(SamplerError, match=f"trial 0 of the study is not of {spec.id}"):
        start("random", told=told)


def test_what_a_study_knows_and_a_run_has_lost_is_proposed_again(start):
    told = scored(start("random"), 4)
    sampler = start("random", told=told[:1] + told[2:])
    assert sampler.ask().spec == told[1][0]
    assert sampler.ask().spec not in {spec for spec, _ in told}


def test_searches_that_share_a_storage_keep_apart(start, storage):
    waiting = start(study="ours").ask()
    assert start(study="theirs").ask().number == 0
    assert len(optuna.get_all_study_names(storage)) == 2
    assert start(study="ours").ask() == waiting


def test_the_first_generation_has_both_ends_and_presets_come_first(tmp_path):
    over = load_space("heterogeneous_branches")
    sampler = OptunaSampler(
        over,
        macs,
        name="nsga2",
        seed=0,
        population=6,
        storage=f"sqlite:///{tmp_path}/study.db",
        presets=("hrvit_b1",),
    )
    first = [sampler.ask().spec for _ in range(6)]
    depth = {spec: [m.depth for m in spec.modules] for spec in first}
    assert depth[first[0]] == depth[first[1]] == depth[first[2]]
    costs = [macs(spec) for spec in first]
    assert costs[:3] == sorted(costs[:3])
    assert min(costs[3:]) < costs[0] < costs[2] < max(costs[3:])
    steps = [b / a for a, b in itertools.pairwise(costs[:3])]
    assert steps[0] == pytest.approx(steps[1], rel=0.1)
    assert costs[3] == sorted(costs[3:])[1], "the middle comes before both ends"


@pytest.mark.parametrize(("count", "order"), [(2, [0, 1]), (3, [1, 0, 2]), (4, [1, 2, 0, 3])])
def test_a_first_generation_begins_in_the_middle(count, order):
    over = load_space("heterogeneous_branches")
    first = first_generation(over, macs, count, (), Random(0), spread=True)
    costs = [macs(spec) for spec in first]
    assert costs == [sorted(costs)[place] for place in order]


@pytest.mark.parametrize(
    ("name", "trials", "expected"),
    [
        ("nsga2", 1, 4),
        ("nsga2", 16, 4),
        ("nsga2", 40, 10),
        ("nsga2", 1000, 50),
        ("gp", 40, 6),
        ("ehvi", 40, 4),
    ],
)
def test_the_population_follows_the_budget(name, trials, expected):
    assert default_population(name, trials) == expected


def test_every_architecture_of_nsga2_may_be_a_parent(tight, tmp_path):
    """Those of the first generation, and those in place of what was refused, were queued."""
    sampler = make_sampler(
        tight,
        macs,
        name="nsga2",
        costs=[macs],
        work=macs,
        seed=1,
        population=4,
        storage=f"sqlite:///{tmp_path}/study.db",
    )
    for _ in range(20):
        proposal = sampler.ask()
        sampler.tell(proposal.number, values_of(proposal.spec))
    trials = [t for t in sampler._kept.trials if t.state == TrialState.COMPLETE]
    assert any("refused" in t.user_attrs for t in sampler._kept.trials)
    key = optuna.samplers.NSGAIISampler._get_generation_key()
    generations = [trial.system_attrs[key] for trial in trials]
    assert generations == [number // 4 for number in range(20)]
    first = {t.number for t in trials[:4]}
    parents = sampler._study.sampler.get_parent_population(sampler._study, 1)
    assert {t.number for t in parents} == first


def test_ehvi_weighs_what_is_gained_by_the_work_of_it(start, storage):
    def mean_work(**changes):
        specs = [spec for spec, _ in scored(start("ehvi", storage=None, **changes), 16)]
        return fmean(macs(spec) for spec in specs[4:])

    assert mean_work() < mean_work(work=lambda spec: 1.0)
