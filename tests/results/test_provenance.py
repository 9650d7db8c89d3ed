"""Provenance is plain data, found without importing what it names."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from importlib import metadata

import pytest

from hrvit_nas.results import provenance
from hrvit_nas.results.provenance import _vector_instructions


def test_provenance_is_json_and_names_versions():
    facts = json.loads(json.dumps(provenance(device="cpu")))
    assert facts["versions"]["torch"] == metadata.version("torch")
    assert facts["versions"]["python"].split(".")[:2] == [str(n) for n in sys.version_info[:2]]
    assert facts["machine"]["cores"] >= 1
    assert facts["machine"]["cpu"]
    assert facts["device"] == "cpu"
    assert facts["command"] == sys.argv
    started = datetime.fromisoformat(facts["started_at"])
    assert abs(datetime.now(UTC) - started) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("cpuinfo", "widest"),
    [
        ("model name\t: A\nflags\t\t: fpu avx avx2 avx512f\n\nflags\t: fpu\n", "avx512f"),
        ("flags\t\t: fpu sse2 avx2 avx\n", "avx2"),
        ("Features\t: fp asimd\n", "asimd"),
        ("flags\t\t: fpu sse2\n", None),
        ("", None),
    ],
)
def test_the_widest_vector_instructions_are_named(cpuinfo, widest, monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: cpuinfo)
    assert _vector_instructions() == widest


def test_start_time_is_stored_in_utc():
    start = datetime(2026, 1, 2, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    assert provenance(started_at=start)["started_at"] == "2026-01-02T01:00:00+00:00"


def test_passwords_in_urls_are_masked():
    command = ["hrvit-search", "--storage", "postgresql://ada:s3cret@db:5432/x", "--seed=1"]
    masked = provenance(command=command)["command"]
    assert masked == ["hrvit-search", "--storage", "postgresql://ada:***@db:5432/x", "--seed=1"]


def test_git_speaks_only_for_a_tracked_source(tmp_path):
    from hrvit_nas.results.provenance import _git

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (tmp_path / "__init__.py").write_text("")
    git("init", "-q")
    assert _git(tmp_path) is None  # somebody else's repository
    git("add", ".")
    git("commit", "-q", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert _git(tmp_path) == {"commit": commit, "dirty": False}
    (tmp_path / "__init__.py").write_text("changed = 1\n")
    assert _git(tmp_path) == {"commit": commit, "dirty": True}


def test_results_load_neither_torch_nor_ray_nor_a_table_library():
    code = (
        "import sys; from hrvit_nas.results import provenance; provenance();"
        "print([m for m in ('torch', 'ray', 'optuna', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
