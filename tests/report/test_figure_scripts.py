"""analysis/importance.py and analysis/allocation.py, run as a user runs them."""

import runpy
import sys
from pathlib import Path

import pytest

ANALYSIS = Path(__file__).parents[2] / "analysis"


@pytest.fixture
def script(monkeypatch, capsys):
    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        status = 0
        try:
            runpy.run_path(str(ANALYSIS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            status = end.code
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


@pytest.mark.parametrize("name", ["importance", "allocation"])
def test_it_draws_and_says_what_is_decided(script, whole_run, tmp_path, name):
    output = tmp_path / "figure.svg"
    status, out, err = script(name, whole_run, "--output", output)
    assert (status, err) == (0, "")
    assert out.endswith(f"{output}\n")
    assert len(out.splitlines()) > 1
    assert "scenes, " in output.read_text()


@pytest.mark.parametrize("name", ["importance", "allocation"])
def test_bad_input_is_one_line_of_the_script(script, whole_run, tmp_path, name):
    status, _, err = script(name, tmp_path)
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"{name}: ")
    assert script(name, whole_run, "--output", tmp_path / "x.gif")[0] == 2
    status, _, err = script(name, whole_run, "--output", tmp_path / "no" / "x.png")
    assert (status, "cannot write" in err) == (2, True)
