"""`hrvit-search` as a whole: its help, and its status."""

import yaml

from hrvit_nas.cli.search import main
from hrvit_nas.results import TrialStore


def test_a_search_of_which_nothing_comes_says_so_in_its_status(run_command, profile, tmp_path):
    plan = yaml.safe_load((profile.parent / "recipe.yaml").read_text())
    plan["recipe"] |= {"learning_rate": 1e30, "steps": 3}
    (tmp_path / "wild.yaml").write_text(yaml.safe_dump(plan))
    status, out, err = run_command(
        main, "--profile", profile, "--recipe", "wild.yaml", "--trials", 2, "--output", "out"
    )
    assert status == 1
    assert err == ""
    assert out.count("failed: TrainingFailedError") == 2
    assert "no trial is complete (2 failed), so there is no frontier" in out
    with TrialStore(tmp_path / "out") as store:
        assert [record.state for record in store.records()] == ["failed"] * 2


def test_help_is_light_and_shows_examples(help_of):
    heavy = ("torch", "ray", "optuna", "pydantic", "pandas", "matplotlib", "yaml")
    lines = [line.strip() for line in help_of("search", heavy).splitlines()]
    assert "hrvit-search --space heterogeneous_branches" in lines
    assert any(line.startswith("hrvit-search --resume ") for line in lines)
