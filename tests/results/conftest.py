from datetime import UTC, datetime

import pytest

from hrvit_nas.arch import get_arch
from hrvit_nas.results import TrialRecord


def _record(**fields):
    values = {
        "number": 0,
        "arch_id": "0123456789ab",
        "arch": get_arch("hrvit_b1").to_json(),
        "origin": "search",
        "seed": 0,
        "state": "complete",
        "macs": 1000,
        "published_macs": 1200,
        "params": 50,
        "peak_activation_bytes": 4096,
        "seconds": 1.5,
        "steps": 100,
        "finished_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    }
    values |= {"error": "loss became NaN"} if fields.get("state") == "failed" else {"miou": 0.5}
    return TrialRecord(**(values | fields))


@pytest.fixture(scope="session")
def record():
    """Makes a record, complete unless told otherwise, with some fields replaced."""
    return _record
