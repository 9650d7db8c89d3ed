"""`--data none`: searches, calibrations and ablations that train nothing, and say so."""

import os
import pty
import signal
import sys
import time
from functools import partial

import pytest

from hrvit_nas.cli.ablate import main as ablate
from hrvit_nas.cli.report import main as report
from hrvit_nas.cli.search import main
from hrvit_nas.results import TrialStore

MEANS_NOTHING = "nothing was trained: these scores are of a synthetic objective"
NOISY = ("--data", "none", "--objective-noise", "0.02")


@pytest.fixture
def search(run_command, profile):
    """Runs `hrvit-search` on the tiny profile: (status, stdout, stderr)."""
    return partial(run_command, main, "--profile", profile)


def test_a_search_and_its_report_say_that_scores_mean_nothing(search, run_command, tmp_path):
    halving = ("--scheduler", "mo_asha", "--steps", "9", "--confirm", "1", "--long-steps", "20")
    status, out, err = search(*NOISY, *halving, "--trials", "9", "--output", "run")
    assert (status, err) == (0, "")
    assert "objective with noise 0.02, 0 s a trial, failure rate 0;" in out
    assert out.count(MEANS_NOTHING) == 1
    assert "ranks as long training does" not in out
    assert "checkpoints" not in out
    records = TrialStore(tmp_path / "run").records()
    assert {record.budget for record in records} == {3, 9, 20}
    status, _, _ = run_command(report, "run")
    assert status == 0
    assert MEANS_NOTHING in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_calibration_serves_a_search(search):
    status, out, _ = search(*NOISY, "--calibrate-proxy", "6", "--output", "calibration")
    assert status == 0
    assert MEANS_NOTHING in out
    # The recipe of a calibration scores more often, and is the same in all else.
    stands = ("--calibration", "calibration", "--steps", "1", "--output", "run")
    status, out, err = search(*NOISY, *stands)
    assert (status, err) == (0, "")
    assert "stands on the calibration" in out


def test_an_ablation(run_command, profile):
    common = ("strip_width", "--profile", profile, *NOISY, "--executor", "inline")
    status, out, _ = run_command(ablate, *common, "--output", "run")
    assert status == 0
    assert MEANS_NOTHING in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "none", "--strategy", "supernet"), "a supernet must have images"),
        (("--objective-noise", "0"), "--objective-noise needs --data none, got scenes; drop it"),
        (("--data", "none", "--objective-noise", "2"), "--objective-noise: Input should be less"),
        (("--data", "none", "--objective-delay", "-1"), "--objective-delay: Input should be great"),
        (("--data", "none", "--objective-failures", "nan"), "--objective-failures: Input should"),
    ],
)
def test_what_means_nothing_is_refused_in_a_line(search, tmp_path, options, message):
    status, _, err = search(*options)
    assert status == 2
    assert err.startswith("hrvit-search: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_terminal_that_is_closed_ends_it_in_good_order(profile, tmp_path):
    run = tmp_path / "run"
    command = [
        *(sys.executable, "-m", "hrvit_nas.cli.search", "--profile", str(profile)),
        *("--data", "none", "--objective-delay", "0.3", "--trials", "40", "--output", str(run)),
    ]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, command)
    journal = run / "trials.jsonl"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < deadline
        os.read(terminal, 4096)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert (run / "frontier.csv").exists()
    with TrialStore(run) as store:
        assert 2 <= len(store.records()) < 40
