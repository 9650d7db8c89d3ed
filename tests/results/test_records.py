"""What trials add to the time of a run."""

from hrvit_nas.results import seconds_spent


def test_a_training_that_went_on_from_a_pause_adds_what_came_after(record):
    a, b = "0123456789ab", "ba9876543210"
    rows = [
        record(arch_id=a, purpose="rung", budget=10, seconds=4.0),
        record(arch_id=b, purpose="rung", budget=10, seconds=5.0),
        record(arch_id=a, purpose="rung", budget=30, seconds=12.0),
        record(arch_id=b, purpose="rung", budget=30, seconds=1.0, state="failed"),
        record(arch_id=a, purpose="search", budget=90, seconds=36.0),
        record(arch_id=a, purpose="confirmation", budget=90, seed=1, seconds=40.0),
        record(arch_id=a, purpose="reference", budget=90, seconds=41.0),
    ]
    assert seconds_spent(rows) == [4.0, 5.0, 8.0, 1.0, 24.0, 40.0, 41.0]
