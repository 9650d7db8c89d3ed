"""What of a run directory is damaged is made anew from the journal, or refused with its remedy."""

import json
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from pyarrow import parquet

from hrvit_nas.report.run import load_run
from hrvit_nas.results import StoreError, TrialStore, write_sealed
from hrvit_nas.search.ablation_results import _read_latencies
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.run import continue_run, create_run, open_run, sampler_of


class Nobody:
    """Who is told, and does nothing."""

    def started(self, trial):
        pass

    def ended(self, record, summary):
        pass

    def supernet(self, step):
        pass


def finish(run):
    try:
        continue_run(run, Nobody())
    finally:
        run.close()
    return run.store.records()


@pytest.fixture(scope="module")
def finished(make_config, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "finished"
    finish(create_run(make_config(trials=4, sampler="nsga2", references=[]), directory))
    return directory


@pytest.fixture
def run_dir(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


def truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])


def scrambled(path):
    path.write_bytes(b"noise" * 5000)


def emptied(path):
    path.write_bytes(b"")


def parted(path):
    """A valid database, in which a score is another."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE trial_values SET value = value / 2 + 0.01 WHERE objective = 0")
    database.close()


def misnamed(path):
    """A valid database, in which an architecture cannot be read."""
    with sqlite3.connect(path) as database:
        database.execute("UPDATE trial_user_attributes SET value_json = '\"{\"' WHERE key = 'arch'")
    database.close()


def completed(directory):
    storage = f"sqlite:///{directory}/study.db"
    study = optuna.load_study(study_name="search", storage=storage)
    return study.get_trials(states=(TrialState.COMPLETE,))


@pytest.mark.parametrize("damage", [truncated, scrambled, parted, misnamed])
def test_a_damaged_study_is_made_anew(damage, run_dir, caplog):
    before = [(trial.params, trial.values) for trial in completed(run_dir)]
    damage(run_dir / "study.db")
    records = finish(open_run(run_dir, {"trials": 6}))
    assert "study.db is damaged (" in caplog.text
    assert "it is now study.db.damaged, and made anew from trials.jsonl" in caplog.text
    assert (run_dir / "study.db.damaged").exists()
    after = [(trial.params, trial.values) for trial in completed(run_dir)]
    assert after[:4] == before
    assert len(after) == 6
    assert max(Counter(record.key for record in records).values()) == 1
    caplog.clear()
    run = open_run(run_dir)
    sampler_of(run)
    run.close()
    assert caplog.text == ""


def test_an_emptied_study_is_filled_again(run_dir, caplog):
    before = [(trial.params, trial.values) for trial in completed(run_dir)]
    emptied(run_dir / "study.db")
    run = open_run(run_dir)
    sampler_of(run)
    run.close()
    assert "the study lacked 4 of 4 trials" in caplog.text
    assert [(trial.params, trial.values) for trial in completed(run_dir)] == before


def test_a_study_that_is_in_use_is_not_set_aside(run_dir, monkeypatch):
    database = sqlite3.connect(run_dir / "study.db", timeout=0)
    database.execute("BEGIN EXCLUSIVE")
    run = open_run(run_dir)
    monkeypatch.setattr("hrvit_nas.samplers.database.PATIENCE_S", 0)
    monkeypatch.setattr("hrvit_nas.search.run._make_sampler", _locked)
    with pytest.raises(ValueError, match="locked"):
        sampler_of(run)
    run.close()
    database.close()
    assert not (run_dir / "study.db.damaged").exists()


def _locked(run, storage):
    raise ValueError("database is locked")


def test_a_fault_that_is_not_the_studys_leaves_it_where_it_is(run_dir, monkeypatch):
    before = (run_dir / "study.db").read_bytes()
    run = open_run(run_dir)
    monkeypatch.setattr("hrvit_nas.search.run._make_sampler", _locked)
    with pytest.raises(ValueError, match="locked"):
        sampler_of(run)
    run.close()
    assert (run_dir / "study.db").read_bytes() == before
    assert not (run_dir / "study.db.damaged").exists()


@pytest.mark.parametrize("damage", [truncated, scrambled, emptied])
def test_a_damaged_table_is_written_anew(damage, run_dir, caplog):
    damage(run_dir / "trials.parquet")
    assert len(load_run(run_dir).records) == 4
    open_run(run_dir).close()
    assert "trials.parquet" in caplog.text
    assert "it is written anew from trials.jsonl" in caplog.text
    assert parquet.read_metadata(run_dir / "trials.parquet").num_rows == 4


@pytest.mark.parametrize("content", ["{", "{}", "[1]", "[" * 100_000])
def test_a_damaged_provenance_begins_anew(content, run_dir, caplog):
    (run_dir / "provenance.json").write_text(content)
    open_run(run_dir).close()
    assert "it is now provenance.json.damaged" in caplog.text
    assert (run_dir / "provenance.json.damaged").read_text() == content
    assert len(json.loads((run_dir / "provenance.json").read_text())) == 1


def test_damaged_latencies_are_left_out(tmp_path, caplog):
    path = tmp_path / "latency.json"
    write_sealed(path, {"ms": {"a": [1.5, 2], "b": [2, 3]}})
    assert _read_latencies(path) == {"a": [1.5, 2.0], "b": [2.0, 3.0]}
    whole = path.read_text()
    for damaged in (whole.replace("1.5", "1.7"), whole[:40], "{}", '{"ms": {"a": [0]}}'):
        path.write_text(damaged)
        caplog.clear()
        assert _read_latencies(path) is None
        assert "continuing the run measures them anew" in caplog.text


def test_a_damaged_line_is_removed_as_its_message_says(run_dir):
    """The remedies that messages name are remedies."""
    journal = run_dir / "trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    lost = TrialStore(run_dir).records()[1]
    lines[1] = lines[1].replace(b'"steps":1,', b'"steps":3,')
    journal.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=r"line 2 .* remove that line, and the table"):
        open_run(run_dir)
    journal.write_bytes(b"".join(lines[:1] + lines[2:]))
    with pytest.raises(ConfigError, match=r"has lost some: restore it, or remove trials\.parquet"):
        open_run(run_dir)
    (run_dir / "trials.parquet").unlink()
    records = finish(open_run(run_dir))
    assert len(records) == 4
    assert records[-1].key == lost.key
    assert records[-1].miou == lost.miou
