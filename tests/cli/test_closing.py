"""What a search begins with, and what it says then and when it ends."""

from io import StringIO
from random import Random

import pytest
from rich.console import Console

from hrvit_nas import estimate_cost
from hrvit_nas.cli.closing import announce, recount
from hrvit_nas.cli.search import main as search


@pytest.fixture
def made(run_command, monkeypatch):
    """Makes the run that `hrvit-search` would go on with, given its arguments."""

    def make(*arguments):
        began = []
        monkeypatch.setattr("hrvit_nas.cli.search._go", lambda run: began.append(run) or 0)
        assert run_command(search, *arguments, "--output", "run")[0] == 0
        (run,) = began
        return run

    return make


def test_a_table_is_recounted_row_by_row(make_config, record):
    space = make_config().load_space()
    rows = []
    for seed in range(2):
        spec = space.sample(Random(seed))
        macs = estimate_cost(spec, (32, 48), num_classes=7).macs
        rows.append(record(arch_id=spec.id, arch=spec.to_json(), macs=macs - seed))
    assert recount(rows[:1], 7, (32, 48)).endswith("counted again by fvcore, are the same")
    said = recount(rows, 7, (32, 48))
    assert f"differ: {rows[1].arch_id} {rows[1].macs:,} here, {rows[1].macs + 1:,} there" in said


@pytest.mark.parametrize(
    ("options", "rungs", "warned"),
    [
        ((), (200, 600), False),
        (("--grace-period", "100"), (100, 300, 600), True),
        (("--steps", "9"), (3, 9), False),  # of another schedule, nothing is known
    ],
)
def test_halving_begins_where_scores_rank(options, rungs, warned, made):
    longest = () if "--steps" in options else ("--max-t", "600")
    halving = ("--profile", "laptop", "--scheduler", "mo_asha", *longest, *options)
    run = made(*halving, "--trials", "9")
    assert run.config.rungs == rungs
    console = Console(file=StringIO(), width=1000)
    announce(console, run)
    run.close()
    said = console.file.getvalue()
    assert f"on rungs of {', '.join(map(str, rungs))} steps" in said
    assert ("is below 200, the first at which scores rank as long training does" in said) == warned


@pytest.mark.parametrize(
    ("options", "sampler"),
    [
        ((), "ehvi"),
        (("--cost", "params"), "ehvi"),
        (("--deterministic",), "nsga2"),
        (("--strategy", "supernet"), "nsga2"),
        (("--cost", "macs", "--cost", "latency_ms"), "nsga2"),
        (("--sampler", "random"), "random"),
    ],
)
def test_the_sampler_is_the_best_one_that_can_be_used(options, sampler, made, profile):
    run = made("--profile", profile, *options)
    run.close()
    assert run.config.sampler == sampler
