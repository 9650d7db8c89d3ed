"""What a search shows as it goes on: a live view on a terminal, a line a trial elsewhere."""

import random
import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from hrvit_nas.cli.progress import SearchProgress
from hrvit_nas.results import HistoryPoint, Trial, TrialRecord, summarise


def console(**options):
    return Console(file=StringIO(), width=80, **options)


def text_of(screen):
    return screen.file.getvalue()


@pytest.fixture(scope="module")
def specs(make_config):
    space = make_config().load_space()
    return list({space.sample(random.Random(seed)) for seed in range(6)})[:3]


def trial_of(number, spec, purpose="search", label=""):
    return Trial(number=number, arch=spec, seed=0, purpose=purpose, budget=1, label=label)


def record_of(trial, miou=0.5, error=""):
    return TrialRecord(
        **trial.identity,
        state="failed" if error else "complete",
        miou=None if error else miou,
        error=error,
        macs=12_345_678,
        published_macs=1,
        params=1,
        peak_activation_bytes=1,
        seconds=3.2,
        steps=1,
        finished_at=datetime.now(UTC),
    )


def test_elsewhere_each_trial_is_one_line_however_long(specs):
    screen = console()
    records = []
    with SearchProgress(screen, trials=3, done=0) as progress:
        for number, spec in enumerate(specs[:2]):
            trial = trial_of(number, spec)
            progress.started(trial)
            records.append(record_of(trial, error="" if number else f"[bold]broke{'!' * 99}"))
            progress.ended(records[-1], summarise(records))
        reference = trial_of(2, specs[2], "reference", "b1 scaled")
        progress.started(reference)
        records.append(record_of(reference))
        progress.ended(records[-1], summarise(records))
    failed, scored, beside = text_of(screen).splitlines()
    assert f"searching 1/3: {specs[0].id} seed 0" in failed
    assert f"failed: [bold]broke{'!' * 99}" in failed
    assert f"searching 2/3: {specs[1].id} seed 0 0.0123 GMACs, mIoU 50.00% (1 steps, 3 s)" in scored
    assert scored.endswith("frontier 1")
    assert "references 1: b1 scaled seed 0" in beside


def test_a_resumed_search_counts_on(specs):
    screen = console()
    with SearchProgress(screen, trials=9, done=7) as progress:
        record = record_of(trial_of(7, specs[0]))
        progress.ended(record, summarise([record]))
    assert "searching 8/9" in text_of(screen)


def test_a_terminal_shows_the_bar_what_runs_and_the_frontier(specs):
    screen = console(force_terminal=True)
    done, running = trial_of(0, specs[0]), trial_of(1, specs[1])
    with SearchProgress(screen, trials=3, done=0) as progress:
        progress.started(done)
        progress.started(running)
        record = record_of(done)
        progress.ended(record, summarise([record]))
    last = text_of(screen).rpartition("searching")[2]
    assert "1/3" in last
    assert f"running: {running.arch.id} seed 0" in last
    assert "frontier so far" in last
    row = next(line for line in last.splitlines() if done.arch.id in line)
    assert {"0.0123", "50.00"} <= set(row.split())


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_ranked_by_stands_beside_miou(specs, terminal):
    screen = console(force_terminal=terminal)
    trial = trial_of(0, specs[0])
    point = {"step": 1, "miou": 0.5, "cross_entropy": 0.53125, "seconds": 3.0}
    record = record_of(trial).model_copy(update={"history": (HistoryPoint(**point),)})
    with SearchProgress(screen, trials=3, done=0) as progress:
        progress.started(trial)
        progress.ended(record, summarise([record], criterion="cross_entropy"))
    assert re.search(r"50\.00%?, cross entropy 0\.5312 nats", text_of(screen))


def test_a_terminal_shows_each_stage_as_it_comes(specs):
    screen = console(force_terminal=True)
    trials = [trial_of(0, specs[0]), trial_of(1, specs[1], "reference", "b1 scaled")]
    records = []
    with SearchProgress(screen, trials=1, done=0) as progress:
        for trial in trials:
            progress.started(trial)
            records.append(record_of(trial))
            progress.ended(records[-1], summarise(records))
    last = text_of(screen).rpartition("searching")[2]
    assert "1/1" in last.splitlines()[0]
    assert "references" in last
    assert "1/?" in last


def test_a_terminal_is_left_usable_when_a_search_breaks(specs):
    screen = console(force_terminal=True)
    with pytest.raises(KeyboardInterrupt), SearchProgress(screen, trials=1, done=0):
        raise KeyboardInterrupt
    assert text_of(screen).rstrip().endswith("\x1b[?25h")  # the cursor is shown again
