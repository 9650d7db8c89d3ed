"""What every executor promises, in this process and on Ray: one class of tests for both."""

import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from ray import cloudpickle

from hrvit_nas.arch import get_hrvit, scale_widths
from hrvit_nas.execution import ExecutionError, Resources, WorkerError, make_executor
from hrvit_nas.results import Trial, TrialResult

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
ARCH = scale_widths(get_hrvit("hrvit_b1"), 0.25)


class Source:
    """So many trials, each with the seed of its number."""

    def __init__(self, count):
        self.left = [
            Trial(
                number=number,
                arch=ARCH,
                seed=number,
                purpose="search",
                evaluator="trained",
                budget=1,
                label="",
            )
            for number in range(count)
        ]
        self.running = 0

    @property
    def finished(self):
        return not self.left and not self.running

    def next(self):
        if not self.left:
            return None
        self.running += 1
        return self.left.pop(0)


class Told:
    """What an executor tells of its trials."""

    def __init__(self, source):
        self.source, self.started, self.ended = source, [], {}

    def start(self, trial):
        self.started.append(trial.seed)

    def end(self, trial, result):
        self.source.running -= 1
        self.ended[trial.seed] = result


class Scoring:
    """Scores a trial by its seed; `shared` says what goes wrong."""

    def __init__(self, shared):
        if shared.get("unmade"):
            raise OSError("no such\ndata")
        self.shared = shared

    def run(self, trial):
        if trial.seed == self.shared.get("faulty"):
            raise ValueError("the data\nare at fault")
        if trial.seed == self.shared.get("failing"):
            return TrialResult.failed("loss became NaN")
        if (folder := self.shared.get("failing_once")) is not None:
            mark = Path(folder) / str(trial.seed)
            if not mark.exists():
                mark.touch()
                return TrialResult.failed("loss became NaN")
        return TrialResult(state="complete", miou=trial.seed / 10, seconds=1.0, steps=1, history=())


def double(shared):
    return {"doubled": 2 * shared["number"], "threads": torch.get_num_threads()}


def fail(shared):
    raise KeyError("no such\nthing")


def train_part(shared):
    with open(shared["path"], "a") as file:
        file.write("trained\n")


def refuse_part(shared):
    raise ValueError("the recipe asks for what there is not")


@pytest.fixture(
    params=["inline", pytest.param("ray_tune", marks=[pytest.mark.ray, pytest.mark.slow])]
)
def resources(request):
    if request.param == "ray_tune":
        request.getfixturevalue("ray_runtime")
    return Resources(executor=request.param, workers=1)


@pytest.fixture
def executor(resources):
    executor = make_executor(resources)
    with executor.session():
        yield executor


class TestEveryExecutor:
    def run(self, executor, count=3, on_start=None, on_end=None, **shared):
        source = Source(count)
        told = Told(source)
        executor.run_trials(source, Scoring, shared, on_start or told.start, on_end or told.end)
        assert source.finished
        return told

    def test_each_trial_runs_once_in_order_and_is_told_of(self, executor):
        told = self.run(executor)
        assert told.started == [0, 1, 2]
        assert {seed: result.miou for seed, result in told.ended.items()} == {0: 0, 1: 0.1, 2: 0.2}
        host = os.uname().nodename
        assert {result.worker.split("/")[0] for result in told.ended.values()} == {host}

    def test_no_trials_are_no_fault(self, executor):
        assert self.run(executor, count=0).started == []

    def test_a_failed_trial_does_not_end_the_others(self, executor):
        told = self.run(executor, failing=1)
        assert [told.ended[seed].state for seed in range(3)] == ["complete", "failed", "complete"]
        assert told.ended[1].error == "loss became NaN"
        assert told.started.count(1) == told.ended[1].attempts == 2
        assert told.ended[0].attempts == 1

    def test_a_trial_that_failed_may_do_better_in_a_fresh_process(self, executor, tmp_path):
        told = self.run(executor, count=2, failing_once=str(tmp_path))
        assert {seed: result.miou for seed, result in told.ended.items()} == {0: 0, 1: 0.1}
        assert [told.ended[seed].attempts for seed in range(2)] == [2, 2]

    @pytest.mark.parametrize(
        ("shared", "said"),
        [({"faulty": 1}, "the data are at fault"), ({"unmade": True}, "no such data")],
    )
    def test_a_fault_of_the_machine_ends_all_with_one_line_that_names_it(
        self, executor, shared, said
    ):
        with pytest.raises(ExecutionError) as caught:
            self.run(executor, **shared)
        assert str(caught.value) == f"on node {os.uname().nodename}: {said}"

    @pytest.mark.parametrize("when", ["on_start", "on_end"])
    def test_an_error_of_who_is_told_is_raised_as_it_is(self, executor, when):
        def broken(*_):
            raise LookupError("no more")

        with pytest.raises(LookupError, match="no more"):
            self.run(executor, **{when: broken})

    def test_a_function_runs_once(self, executor):
        assert executor.run_once(double, {"number": 4}) == {"doubled": 8, "threads": 1}

    def test_a_function_that_fails_is_one_line(self, executor):
        with pytest.raises(WorkerError) as caught:
            executor.run_once(fail, {})
        assert str(caught.value).startswith("KeyError: ")
        assert "\n" not in str(caught.value)

    def test_a_group_trains_and_is_looked_at(self, executor, tmp_path):
        polls = []
        path = tmp_path / "log"
        executor.run_group(train_part, {"path": str(path)}, 1, lambda: polls.append(path.exists()))
        assert path.read_text() == "trained\n"
        assert polls[-1]

    def test_an_error_of_a_group_is_raised_as_it_is(self, executor):
        with pytest.raises(ValueError, match=r"^the recipe asks for what there is not$"):
            executor.run_group(refuse_part, {}, 1, lambda: None)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"cpus_per_trial": 4096}, "asked for 4096 CPU, the largest node has"),
            ({"gpus_per_trial": 64}, "asked for 64 GPU, the largest node has"),
        ],
    )
    def test_a_trial_that_fits_no_node_is_refused_before_anything_runs(
        self, resources, changes, said
    ):
        executor = make_executor(resources.model_copy(update=changes))
        with pytest.raises(ExecutionError, match=said), executor.session():
            pass


def test_a_process_that_is_of_no_more_use_ends_an_inline_run_with_one_line():
    def broken(shared):
        raise RuntimeError("CUDA error:\nan illegal access")

    executor = make_executor(Resources(executor="inline"))
    source = Source(1)
    with pytest.raises(ExecutionError, match=r"CUDA error: an illegal access$"), executor.session():
        executor.run_trials(source, broken, {}, Told(source).start, Told(source).end)


def test_an_error_of_who_looks_at_an_inline_group_is_raised():
    def broken():
        raise OSError("no terminal")

    executor = make_executor(Resources(executor="inline"))
    with pytest.raises(OSError, match="no terminal"), executor.session():
        executor.run_group(lambda shared: None, {}, 1, broken)


def test_this_process_is_left_as_it_was():
    before = torch.get_rng_state()
    with make_executor(Resources(executor="inline")).session():
        torch.manual_seed(99)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"workers": 2}, "executor inline runs a trial at a time; workers must be 1, got 2"),
        ({"address": "auto"}, "address must not be set, got auto"),
    ],
)
def test_what_inline_cannot_do_is_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        Resources(executor="inline", **fields)
    assert Resources(**fields).executor == "ray_tune"


@pytest.mark.ray
def test_ray_listens_on_this_machine_alone(ray_runtime):
    (node,) = ray_runtime.nodes()
    assert node["NodeManagerAddress"] == "127.0.0.1"


@pytest.mark.ray
def test_sigterm_stays_whose_it_was_when_a_runtime_starts(ray_runtime):
    """Ray would leave the program; commands end as they do on Ctrl-C."""
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
