"""`hrvit-latency` from measurement to prediction, in small."""

import errno
import json

import pytest

from hrvit_nas.cli.latency import main
from hrvit_nas.evaluation.part_latency import Timer
from hrvit_nas.results.latency_table import read_latency_table

TINY = ("--calibrate", 8, "--validate", 4, "--repeats", 1, "--warmup", 0, "--max-parts", 20)
MEASURE = ("measure", "--output", "latency.json", "--image-size", 32, 32, *TINY)


@pytest.fixture
def latency(run_command):
    """Runs `hrvit-latency` in an empty folder: (status, stdout, stderr)."""
    return lambda *arguments: run_command(main, *arguments)


def test_a_table_is_measured_once_and_predicts(latency, tmp_path, monkeypatch):
    timed = []
    most = 66

    def noted(real):
        def time(timer, items):
            timed.extend(items)
            if len(timed) > most:
                raise OSError(errno.ENOSPC, "no space left")
            return real(timer, items)

        return time

    for name in ("time_parts", "time_networks"):
        monkeypatch.setattr(Timer, name, noted(getattr(Timer, name)))
    assert latency(*MEASURE)[0] == 2
    kept = read_latency_table(tmp_path / "latency.json")
    assert len(kept.parts) == 64
    assert kept.fit is None
    status, _, err = latency("predict", "latency.json", "--arch", "hrvit_b1")
    assert status == 2
    assert "go on with the same hrvit-latency measure" in err

    timed.clear()
    most = 10_000
    status, out, err = latency(*MEASURE)
    assert status == 0, err
    table = read_latency_table(tmp_path / "latency.json")
    assert table.parts.items() >= kept.parts.items()
    assert len(timed) == len(table.parts) - 64 + 12, "what was measured is not measured again"
    assert len(table.of("calibration")) == 8
    assert len(table.of("validation")) == 4
    assert "measuring heterogeneous_branches (laptop): " in out
    assert "of 4 random architectures within 10% of what was measured" in out
    assert "(Spearman)" in out

    timed.clear()
    assert latency(*MEASURE)[0] == 0
    assert not timed

    (tmp_path / "arch.json").write_text(table.of("validation")[0][0].to_json())
    status, out, _ = latency("predict", "latency.json", "--arch", "hrvit_b1,arch.json")
    assert status == 0
    b1, own = out.splitlines()[-2:]
    assert b1.startswith("hrvit_b1: ")
    assert "% of it by work alone" in b1
    predicted = table.model.predict(table.of("validation")[0][0]).ms
    assert own.startswith(f"arch.json: {predicted:.4g} ms (")

    other = json.loads((tmp_path / "latency.json").read_text())
    status, out, err = latency(*MEASURE, "--threads", 2)
    assert (status, out) == (2, "")
    assert "was measured with threads 1, not 2; write to another file" in err
    assert json.loads((tmp_path / "latency.json").read_text()) == other
