"""Commands run in the test's own process."""

import sys

import pytest


@pytest.fixture
def run_command(monkeypatch, capsys, tmp_path):
    """Runs a command in an empty folder, given its entry point: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        output = capsys.readouterr()
        return caught.value.code, output.out, output.err

    return run
