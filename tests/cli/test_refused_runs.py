"""What a search is refused for what a run, a file or the machine holds: one line, as in
`test_bad_input`.
"""

import json

import pytest
import yaml

from hrvit_nas.results import TrialStore

SUPERNET = ("--strategy", "supernet")
NOBODY = "127.0.0.1:1"


def test_half_of_a_gpu_is_refused_where_there_is_none(refused, profile, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for executor in ("inline", "ray_tune"):
        line = refused("--profile", profile, "--executor", executor, "--gpus-per-trial", "0.5")
        assert "asked for 0.5 GPU, the largest node has 0" in line


def test_what_is_not_there_is_told_on_resume_too(refused, run_dir):
    for option, value, expected in (
        ("--cpus-per-trial", "4096", "asked for 4096 CPU"),
        ("--gpus-per-trial", "64", "asked for 64 GPU"),
        ("--mlflow", f"http://{NOBODY}", "cannot be used"),
    ):
        assert expected in refused("--resume", run_dir, option, value)
    line = refused("--resume", run_dir, "--executor", "ray_tune", "--address", NOBODY)
    assert f"Ray does not start or answer at {NOBODY}" in line


def test_a_faulty_space_is_refused_with_its_line(refused, tmp_path, profile):
    path = tmp_path / "mine.yaml"
    path.write_text("schema_version: 1\ndescription: x\nextends: joint\nnarrow:\n  width_9: [8]\n")
    assert "mine.yaml:5" in refused("--profile", profile, "--space", path)


def test_a_profile_without_a_recipe_for_the_data_is_refused(refused, tmp_path, profile):
    content = yaml.safe_load(profile.read_text())
    content["recipes"] = {"scenes": content["recipes"]["scenes"]}
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(content))
    line = refused("--profile", path, "--data", "camvid", "--data-root", tmp_path)
    assert "names no recipe for camvid; give one with --recipe" in line


def test_an_output_that_holds_a_run_is_refused(refused, run_dir, profile):
    line = refused("--profile", profile, "--output", run_dir)
    assert "holds a run already; resume it, or name another directory" in line


def test_an_output_that_holds_files_is_refused_and_left_alone(refused, tmp_path, profile):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.db").write_text("mine")
    line = refused("--profile", profile, "--output", "out")
    assert "needs a new or empty directory, and out holds files" in line


@pytest.mark.parametrize("option", ["--space", "--recipe", "--resume"])
def test_a_bottomless_file_is_refused(option, refused, run_dir, profile, tmp_path):
    (tmp_path / "deep.yaml").write_text("[" * 20_000)
    (run_dir / "config.json").write_text("[" * 200_000)
    named = [option, run_dir if option == "--resume" else "deep.yaml"]
    line = refused(*named, *([] if option == "--resume" else ["--profile", profile]))
    assert "is nested too deeply" in line


@pytest.mark.parametrize(
    "option",
    [
        *[("--space", "joint"), ("--seed", "0"), ("--steps", "9"), ("--max-macs", "1e9")],
        *[SUPERNET, ("--supernet", "x.pt"), ("--supernet-steps", "9")],
    ],
)
def test_what_a_run_is_made_of_cannot_be_changed_on_resume(option, refused, run_dir):
    line = refused("--resume", run_dir, *option)
    assert f"{option[0]} cannot be changed on --resume" in line


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("config.json", b"{", "is damaged"),
        ("config.json", b"[]", "is damaged"),
        ("config.json", b'{"config": {"resources": {}, "tials": 1}, "space": {}}', "data: Field"),
        ("config.json", b'{"config": {}}', "is damaged"),
        ("trials.jsonl", b"noise\n", "line 1 is damaged"),
        ("trials.jsonl", b"{}\n", "line 1 has schema version None"),
    ],
)
def test_a_damaged_run_is_refused(name, content, expected, refused, run_dir):
    (run_dir / name).write_bytes(content)
    line = refused("--resume", run_dir)
    assert expected in line
    assert str(run_dir / name) in line


def test_a_journal_that_lost_what_its_table_has_is_refused(refused, run_dir, record):
    with TrialStore(run_dir, write=True) as store:
        store.append(record())
        store.write_parquet()
    (run_dir / "trials.jsonl").write_bytes(b"")
    assert "holds 0 trials, and the table beside it 1" in refused("--resume", run_dir)


def test_what_is_of_a_calibration_is_refused_for_a_search(refused, run_dir):
    assert "holds a search" in refused("--resume", run_dir, "--calibration-seeds", 3)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (("--ranking-check", 6), "holds a search, and --ranking-check is not for that"),
        (("--retrain", 2), "holds a search, and --retrain is not for that"),
        (("--calibration-seeds", 3), "--calibration-seeds is not for that"),
    ],
)
def test_what_is_of_a_supernet_is_refused_for_a_search_without(option, expected, refused, run_dir):
    assert expected in refused("--resume", run_dir, *option)


def saved_supernet(config, path):
    """A supernet of a configuration's space, untrained."""
    from hrvit_nas.search.supernet import build_from
    from hrvit_nas.training import SupernetProgress, save_supernet

    plan = config.supernet_plan(config.seed)
    save_supernet(path, build_from(plan, num_classes=10), SupernetProgress())
    return path


def test_a_supernet_of_another_space_is_refused(refused, profile, make_config, tmp_path):
    narrowing = make_config().narrowing
    choices = {**narrowing.choices, "width_1": (8,)}
    narrowing = narrowing.model_copy(update={"choices": choices})
    other = make_config("supernet_search", narrowing=narrowing)
    path = saved_supernet(other, tmp_path / "other.pt")
    line = refused("--profile", profile, *SUPERNET, "--supernet", path, "--output", "out")
    assert str(path) in line


@pytest.mark.parametrize("content", [b"", b"noise", b"PK\x03\x04"])
def test_a_damaged_supernet_is_refused(content, refused, profile, tmp_path):
    (tmp_path / "mine.pt").write_bytes(content)
    line = refused("--profile", profile, *SUPERNET, "--supernet", "mine.pt", "--output", "out")
    assert "mine.pt" in line


def test_a_truncated_supernet_is_refused(refused, profile, make_config, tmp_path):
    path = saved_supernet(make_config("supernet_search"), tmp_path / "mine.pt")
    path.write_bytes(path.read_bytes()[:-1000])
    assert "mine.pt" in refused("--profile", profile, *SUPERNET, "--supernet", "mine.pt")


def test_weights_of_something_else_are_refused(refused, profile, tmp_path):
    import torch

    torch.save({"model": {}}, tmp_path / "mine.pt")
    line = refused("--profile", profile, *SUPERNET, "--supernet", "mine.pt")
    assert "is not a checkpoint of format" in line


def test_a_key_that_stands_twice_in_a_profile_is_refused(refused, profile, tmp_path):
    (tmp_path / "twice.yaml").write_text(f"{profile.read_text()}trials: 2\n")
    assert "key 'trials' stands twice" in refused("--profile", tmp_path / "twice.yaml")


def test_a_run_in_use_is_refused(refused, run_dir):
    with TrialStore(run_dir, write=True):
        assert "being written by another process" in refused("--resume", run_dir)


@pytest.mark.parametrize("damage", [{"genes": 5}, {"base": {}}, {"name": None, "genes": []}])
def test_a_run_whose_space_is_damaged_is_refused(damage, refused, run_dir):
    path = run_dir / "config.json"
    content = json.loads(path.read_text())
    del content["sha256"]  # as who edits it on purpose does
    content["space"] |= damage
    path.write_text(json.dumps(content))
    assert "config.json is damaged: " in refused("--resume", run_dir)
