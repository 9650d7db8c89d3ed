"""`hrvit-ablate`: costs without training, a whole run, interruption, and what it refuses."""

import csv
import io
import json
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from hrvit_nas.arch import get_arch
from hrvit_nas.cli.ablate import NAME, main
from hrvit_nas.cli.search import main as search
from hrvit_nas.report import ABLATION_COLUMNS, COST_COLUMNS
from hrvit_nas.results import TrialStore

PLAN = {
    "description": "Two parts.",
    "base": "hrvit_b1",
    "changes": {
        "des": {"set": {"modules.*.branches.*.shortcut": "identity"}},
        "mix_cfn": {
            "set": {"modules.*.branches.*.feed_forward": "ffn"},
            "published": {"cityscapes_miou": "-0.11"},
        },
    },
}


@pytest.fixture
def ablate(run_command):
    """Runs `hrvit-ablate`: (status, stdout, stderr)."""
    return partial(run_command, main)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("plan") / "two.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    return path


def test_costs_of_the_published_components_at_full_scale(ablate):
    status, out, err = ablate("published_components", "--cost-only", "--format", "csv")
    assert (status, err) == (0, "")
    rows = {row["change"]: row for row in csv.DictReader(io.StringIO(out))}
    assert list(next(iter(rows.values()))) == list(COST_COLUMNS)
    assert f"{float(rows['base']['params']) / 1e6:.1f}" == "8.1"
    assert round(float(rows["kv_sharing"]["paper_macs_change_percent"])) == 4
    assert round(float(rows["efficient_patch_embedding"]["params_change_percent"])) == 22
    assert round(float(rows["efficient_patch_embedding"]["paper_macs_change_percent"])) == 17
    for name in ("params", "paper_macs"):
        assert -1 < float(rows["dense_fusion"][f"{name}_change_percent"]) < 0
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("table", "published_components: cost"),
        ("markdown", "**published"),
        ("latex", "\\begin{table}"),
    ],
)
def test_the_cost_table_in_other_formats(ablate, form, start):
    status, out, _ = ablate("published_components", "--cost-only", "--format", form)
    assert status == 0
    assert out.startswith(start)
    assert "9.93 +22" in out
    assert "+7.6%" in out.replace("\\", "")


def test_costs_go_to_a_file_too(ablate, tmp_path):
    _, out, _ = ablate("strip_width", "--cost-only", "--format", "csv", "--output", "costs.csv")
    assert (tmp_path / "costs.csv").read_text() == out


def test_costs_of_an_architecture_of_ones_own(ablate, tmp_path):
    (tmp_path / "arch.json").write_text(get_arch("hrvit_b2").to_json())
    options = ("--cost-only", "--format", "csv", "--only", "des")
    _, own, _ = ablate("components_on_searched", "--base", "arch.json", *options)
    _, preset, _ = ablate("components_on_searched", "--base", "hrvit_b2", *options)
    assert own == preset
    assert len(own.splitlines()) == 3


def test_a_change_without_effect_is_warned_of_before_anything_is_trained(ablate, tmp_path):
    changes = {**PLAN["changes"], "none": {"set": {"modules.*.branches.*.shortcut": "des"}}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**PLAN, "changes": changes}))
    status, out, err = ablate("plan.yaml", "--cost-only", "--format", "csv")
    assert status == 0
    assert err == (f"{NAME}: warning: change 'none' has no effect on the base and is left out\n")
    assert len(out.splitlines()) == 4


def test_a_directory_that_holds_something_is_refused(ablate, tmp_path, plan):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("")
    status, _, err = ablate(plan, "--output", "run")
    assert status == 2
    assert "needs a new or empty directory" in err


def test_published_figures_are_not_shown_beside_another_base(ablate):
    _, out, _ = ablate("published_components", "--cost-only", "--base", "hrvit_b3")
    assert "published ImageNet" not in out
    assert "28.62" in out


def test_help_has_examples(ablate):
    _, out, _ = ablate("--help")
    assert "hrvit-ablate published_components --cost-only" in out


@pytest.fixture(scope="module")
def finished(profile, plan, tmp_path_factory):
    """A finished run of one step a trial, and what it printed; tests that go on copy it."""
    directory = tmp_path_factory.mktemp("ablation") / "run"
    arguments = [NAME, str(plan), "--profile", str(profile), "--output", str(directory)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        out = io.StringIO()
        patch.setattr(sys, "stdout", out)
        with pytest.raises(SystemExit) as caught:
            main()
    assert caught.value.code == 0
    return directory, out.getvalue()


@pytest.fixture
def copied(finished, tmp_path):
    return Path(shutil.copytree(finished[0], tmp_path / "run"))


def records_in(directory):
    with TrialStore(directory) as store:
        return store.records()


def test_a_run_trains_each_architecture_with_each_seed_once(finished):
    directory, out = finished
    records = records_in(directory)
    keys = [record.key for record in records]
    assert len(set(keys)) == len(keys)
    seeds = {}
    for record in records:
        assert record.purpose == "ablation"
        seeds.setdefault(record.label, []).append(record.seed)
    assert {"base", "des", "mix_cfn"} <= seeds.keys()
    assert all(sorted(of) == [0, 1, 2] for of in seeds.values())
    config = json.loads((directory / "config.json").read_text())["config"]
    controls = [arm for arm in config["arms"] if arm["control"]]
    assert len(seeds) == 3 + len(controls)
    assert f"{len(records)} trials of 1 steps with seeds 0 to 2" in out
    assert f"ablating {len(records)}/{len(records)}" in out


def test_a_run_leaves_tables_figure_and_latencies_that_agree(finished):
    directory, out = finished
    rows = {row["change"]: row for row in csv.DictReader((directory / "ablation.csv").open())}
    assert list(rows) == ["base", "des", "mix_cfn"]
    assert list(rows["base"]) == list(ABLATION_COLUMNS)
    for name in ("des", "mix_cfn"):
        assert rows[name]["effect_verdict"] in ("higher", "lower", "undecided")
        assert rows[name]["effect_verdict"] in out
        assert float(rows[name]["latency_ms"]) > 0
        assert rows[name]["latency_change_percent_low"]
    mious = {(record.label, record.seed): record.miou for record in records_in(directory)}
    mean = sum(mious["des", s] - mious["base", s] for s in range(3)) / 3
    assert float(rows["des"]["effect"]) == pytest.approx(mean)
    assert "-0.11" in (directory / "ablation.md").read_text()
    assert r"\toprule" in (directory / "ablation.tex").read_text()
    assert (directory / "ablation.png").stat().st_size > 10_000
    assert not (directory / "checkpoints").exists()
    assert not (directory / "training").exists()


def test_further_seeds_train_no_old_ones_again(copied, ablate):
    before = records_in(copied)
    status, out, err = ablate("--resume", copied, "--seeds", 4, "--format", "csv")
    assert status == 0
    records = records_in(copied)
    assert records[: len(before)] == before
    assert {record.seed for record in records[len(before) :]} == {3}
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows[1]["seeds"] == "0 1 2 3"
    assert "ablating" in err

    status, _, err = ablate("--resume", copied, "--seeds", 3)
    assert status == 2
    assert "has 4 seeds; num_seeds can only grow, got 3" in err


def test_a_run_whose_latency_cannot_be_measured_keeps_the_rest(copied, ablate, monkeypatch):
    def broken(shared):
        raise RuntimeError("no memory left")

    (copied / "latency.json").unlink()
    (copied / "ablation.csv").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("hrvit_nas.search.ablation_results.time_architectures", broken)
        status, out, _ = ablate("--resume", copied)
    assert status == 0
    assert "latencies could not be measured (RuntimeError: no memory left)" in out
    assert (copied / "ablation.csv").exists()
    assert ablate("--resume", copied)[0] == 0
    assert (copied / "latency.json").exists()


def test_a_finished_run_is_shown_by_another_score(copied, ablate):
    before = records_in(copied)
    status, out, _ = ablate("--resume", copied, "--criterion", "cross_entropy", "--format", "csv")
    assert status == 0
    assert {row["criterion"] for row in csv.DictReader(io.StringIO(out))} == {"cross_entropy"}
    assert records_in(copied) == before


def test_fewer_seeds_than_it_takes_are_refused_on_resume(copied, ablate):
    status, _, err = ablate("--resume", copied, "--seeds", 2)
    assert status == 2
    assert "at least 3 seeds, got 2" in err


def test_each_command_keeps_to_its_own_runs(copied, ablate, run_command, make_config):
    status, _, err = run_command(search, "--resume", copied)
    assert status == 2
    assert f"holds an ablation; continue it with hrvit-ablate --resume {copied}" in err
    config = make_config()
    content = {"config": config.model_dump(mode="json"), "space": config.load_space().to_dict()}
    (copied / "config.json").write_text(json.dumps(content))
    status, _, err = ablate("--resume", copied)
    assert status == 2
    assert f"holds a search; continue it with hrvit-search --resume {copied}" in err


@pytest.mark.slow
def test_cheap_scores_all_arms_with_one_supernet_a_seed(ablate, profile, plan):
    status, out, _ = ablate(
        *(plan, "--only", "des", "--cheap", "--supernet-steps", 2),
        *("--workers", 1, "--profile", profile, "--output", "run"),
    )
    assert status == 0
    assert "scores are with the weights of supernets" in out
    assert "at equal MACs" not in out
    records = records_in(Path("run"))
    assert {record.stage for record in records} == {("ablation", "inherited")}
    assert [(record.label, record.seed) for record in records] == [
        (name, seed) for seed in range(3) for name in ("base", "des")
    ]
    assert {record.steps for record in records} == {2}
    for seed in range(3):
        assert (Path("run") / f"seed-{seed}" / "supernet.pt").exists()
    status, _, _ = ablate("--resume", "run")
    assert status == 0
    assert records_in(Path("run")) == records


@pytest.mark.slow
def test_ctrl_c_then_resume(start_search, wait_for_trials, profile, plan, tmp_path, ablate):
    directory = tmp_path / "run"
    options = ("--only", "des", "--profile", profile, "--steps", 6, "--output", "run")
    process = start_search(plan, *options, command="ablate")
    wait_for_trials(directory, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(240) == 130
    assert process.err.read_text() == ""
    *_, hint = process.out.read_text().splitlines()
    assert hint == "interrupted; nothing is lost. Continue with: hrvit-ablate --resume run"
    before = records_in(directory)
    status, _, _ = ablate("--resume", "run")
    assert status == 0
    records = records_in(directory)
    assert records[: len(before)] == before
    assert len({record.key for record in records}) == len(records)
    assert {record.seed for record in records} == {0, 1, 2}
