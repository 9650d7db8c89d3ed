"""Sections as data: which a run has, and what they hold."""

import csv

import pytest

from hrvit_nas.report.render import write_section
from hrvit_nas.report.run import load_run
from hrvit_nas.report.sections import search
from hrvit_nas.report.sections.chapters import chapters_of
from hrvit_nas.report.tables import FRONTIER_COLUMNS


@pytest.fixture(scope="module")
def run(whole_run):
    return load_run(whole_run)


def test_a_search_has_its_sections_in_order(run):
    first, history = chapters_of([run])
    assert [section.name for section in first.sections] == [
        "facts",
        "frontier",
        "architectures",
        "drawings",
        "parallel",
        "importance",
        "allocation",
        "learning",
    ]
    assert (first.name, history.name) == ("run-0", "hypervolume-history")
    assert all(section.findings or section.grids or section.figures for section in first.sections)


def test_names_of_figures_are_unique_in_a_chapter(run):
    for chapter in chapters_of([run, run]):
        names = [figure.name for section in chapter.sections for figure in section.figures]
        assert len(names) == len(set(names))


def test_the_frontier_is_table_figure_and_records_of_the_same_rows(run, tmp_path):
    section = search.frontier(run, run.config)
    shown = [row.arch_id for row in run.summary.shown]
    (grid,), (records,), (figure,) = section.grids, section.records, section.figures
    assert len(grid.rows) == len(shown)
    assert [row["arch_id"] for row in records.rows] == shown
    # A run that is only read holds no texts of architectures; its records do.
    specs = run.specs(shown)
    assert [row["arch"] for row in records.rows] == [specs[key].to_json() for key in shown]
    (panel,) = figure.data.panels
    assert [point.arch_id for point in panel.frontier] == [
        row.arch_id for row in run.summary.frontier
    ]
    assert write_section(section, tmp_path) == ["frontier.png", "frontier.csv"]
    with (tmp_path / "frontier.csv").open(newline="") as file:
        assert csv.DictReader(file).fieldnames == list(FRONTIER_COLUMNS)
    assert (tmp_path / "frontier.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_shown_is_a_section_that_says_so(write_run, trials_of, tmp_path):
    few = load_run(write_run(tmp_path / "few", trials_of(1)))
    sections = {section.name: section for section in chapters_of([few])[0].sections}
    hidden = {
        name
        for name, section in sections.items()
        if [finding.name for finding in section.findings] == ["not_shown"]
    }
    assert hidden == {"importance", "allocation"}


def test_a_ranking_that_was_not_checked_says_how_to_come_by_it(write_run, trials_of, tmp_path):
    scored = trials_of(3, evaluator="inherited")
    unchecked = load_run(write_run(tmp_path / "unchecked", scored, "supernet_search"))
    (finding,) = search.ranking_consistency(unchecked, unchecked.config).findings
    assert (finding.name, finding.hint) == ("ranking_unknown", "measure_ranking")
