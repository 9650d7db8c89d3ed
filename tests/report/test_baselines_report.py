"""Counts of the baselines against the published ones, and savings made from them."""

import pytest

from hrvit_nas.arch import PRESETS, REFERENCES
from hrvit_nas.report import baselines_grid, savings_grid, upernet_grid
from hrvit_nas.report.baselines import PUBLISHED, counts


def test_all_published_networks_are_counted():
    assert {*PRESETS, *REFERENCES} - {"hrnet_cswin"} == PUBLISHED.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_within_two_percent_of_the_published_ones(name):
    for own, published in zip(counts()[name], PUBLISHED[name], strict=True):
        assert own == pytest.approx(published, rel=0.02)


def test_the_tables_say_what_was_counted():
    grid = baselines_grid()
    assert [column.unit for column in grid.columns] == ["", "M", "", "", "", "", ""]
    rows = {row[0]: row for row in grid.rows}
    assert rows["mit_b4"][:3] == ["mit_b4", "64.11", "64.1"]
    assert rows["cswin_s"][4:6] == ["78.10", "78.1"]
    savings = {row[0]: row[1:] for row in savings_grid().rows}
    assert savings["hrvit_b1 over mit_b1"] == ["40%", "40%", "9%", "8%"]


def test_the_upernet_table_says_what_the_auxiliary_head_adds():
    rows = {row[0]: row[1:] for row in upernet_grid().rows}
    assert rows["hrvit_b2"] == ["49.10", "49.7", "-1.2%", "232.69", "233", "-0.1%"]
    assert rows["hrvit_b2 and auxiliary head"][:4] == ["49.70", "49.7", "-0.0%", "233.29"]
    assert len(rows) == 6
