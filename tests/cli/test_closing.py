"""What a search says when it ends."""

from random import Random

from hrvit_nas import estimate_cost
from hrvit_nas.cli.closing import recount


def test_a_table_is_recounted_row_by_row(make_config, record):
    space = make_config().load_space()
    rows = []
    for seed in range(2):
        spec = space.sample(Random(seed))
        macs = estimate_cost(spec, (32, 48), num_classes=7).macs
        rows.append(record(arch_id=spec.id, arch=spec.to_json(), macs=macs - seed))
    assert recount(rows[:1], 7, (32, 48)).endswith("counted again by fvcore, are the same")
    said = recount(rows, 7, (32, 48))
    assert f"differ: {rows[1].arch_id} {rows[1].macs:,} here, {rows[1].macs + 1:,} there" in said
