"""The figure's data against hand-made runs; its files open and say nothing false."""

import dataclasses
import math
import random
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from hrvit_nas.objectives import OBJECTIVES
from hrvit_nas.report import (
    ParetoData,
    ParetoPanel,
    ParetoPoint,
    ReportError,
    draw_pareto,
    pareto_data,
)
from hrvit_nas.report.plots.pareto import _draw
from hrvit_nas.results import TrialStore, summarise

A, B, C, REF = ("aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd")
MACS = {A: 100_000_000, B: 400_000_000, C: 600_000_000, REF: 200_000_000}


@pytest.fixture
def trials(record):
    return [
        record(arch_id=A, macs=MACS[A], miou=0.30),
        record(arch_id=B, macs=MACS[B], miou=0.40),
        record(arch_id=C, macs=MACS[C], miou=0.35),
        record(arch_id=REF, macs=MACS[REF], miou=0.32, purpose="reference", label="b1 scaled"),
    ]


@pytest.fixture
def confirmed(trials, record):
    scores = {A: (0.28, 0.30), B: (0.27, 0.29), REF: (0.25, 0.26)}
    return trials + [
        record(arch_id=arch_id, macs=MACS[arch_id], miou=miou, purpose="confirmation", seed=seed)
        for arch_id, pair in scores.items()
        for seed, miou in enumerate(pair, start=1)
    ]


def drawn(data):
    """The axes that the renderer draws on, to read its artists back."""
    figure = Figure(figsize=(3.5, 3.1), dpi=300, layout="constrained")
    _draw(figure, data)
    return figure.axes[0]


def test_points_are_in_the_units_of_the_axes(trials):
    data = pareto_data(summarise(trials), dataset="camvid", image_size=(96, 128))
    (panel,) = data.panels
    assert [(p.arch_id, p.cost, p.score) for p in panel.frontier] == [
        (A, pytest.approx(0.1), pytest.approx(30)),
        (B, pytest.approx(0.4), pytest.approx(40)),
    ]
    assert [p.arch_id for p in panel.searched] == [A, B, C]
    assert [p.label for p in panel.references] == ["b1 scaled"]
    assert panel.confirmed_dominated == ()
    assert all(math.isnan(p.low) and math.isnan(p.high) for p in panel.frontier)
    assert panel.x_label == "Multiply-adds per image at 96\N{MULTIPLICATION SIGN}128\n" + (
        "(GMACs, fvcore convention)"
    )
    assert data.y_label == "mIoU (%)"
    assert data.caption == "camvid · 3 architectures · 1 seed · 100 steps"


def test_the_staircase_climbs_at_the_architectures_and_ends_at_the_dearest(trials):
    corners = pareto_data(summarise(trials)).panels[0].staircase
    expected = [(0.1, 30), (0.4, 30), (0.4, 40), (0.6, 40)]
    assert [x for corner in corners for x in corner] == pytest.approx(sum(expected, ()))


def test_confirmed_architectures_stand_at_their_means_and_faintly_at_their_search_scores(confirmed):
    data = pareto_data(summarise(confirmed))
    (panel,) = data.panels
    (arch,) = panel.frontier
    assert (arch.arch_id, arch.score) == (A, pytest.approx(29))
    # t(0.975, 1) = 12.7062; sample deviation sqrt(2) points, over the root of two seeds.
    assert arch.high - arch.score == pytest.approx(12.7062, abs=1e-4)
    assert arch.score - arch.low == pytest.approx(12.7062, abs=1e-4)
    assert [(p.arch_id, p.score) for p in panel.confirmed_dominated] == [(B, pytest.approx(28))]
    assert [p.score for p in panel.searched] == pytest.approx([30, 40, 35])
    assert panel.references[0].score == pytest.approx(25.5)
    assert data.confirmed
    assert data.caption == "3 architectures · 2 confirming seeds · 100 steps"


@pytest.fixture
def with_inherited(trials, record):
    scored = {A: 0.90, B: 0.85, "ffffffffffff": 0.95}
    macs = {**MACS, "ffffffffffff": 300_000_000}
    return trials + [
        record(arch_id=arch_id, macs=macs[arch_id], miou=miou, evaluator="inherited", steps=800)
        for arch_id, miou in scored.items()
    ]


def test_inherited_scores_are_points_of_their_own(trials, with_inherited):
    data = pareto_data(summarise(with_inherited), dataset="camvid")
    (panel,) = data.panels
    assert [(p.arch_id, p.cost, p.score) for p in panel.inherited] == [
        (A, pytest.approx(0.1), pytest.approx(90)),
        (B, pytest.approx(0.4), pytest.approx(85)),
        ("ffffffffffff", pytest.approx(0.3), pytest.approx(95)),
    ]
    without = pareto_data(summarise(trials))
    (alone,) = without.panels
    assert alone.inherited == ()
    assert [p.arch_id for p in panel.frontier] == [p.arch_id for p in alone.frontier] == [A, B]
    assert [p.score for p in panel.searched] == [p.score for p in alone.searched]
    assert panel.staircase == alone.staircase
    assert data.caption == (
        "camvid · 3 scored with inherited weights · 3 architectures trained · 1 seed · 100 steps"
    )
    _, labels = drawn(data).get_legend_handles_labels()
    assert "inherited weights" in labels
    assert "inherited weights" not in drawn(without).get_legend_handles_labels()[1]


def test_an_inherited_score_without_the_cost_is_left_out(record):
    records = [
        record(arch_id=A, latency_ms=2.0),
        record(arch_id=A, evaluator="inherited", latency_ms=3.0),
        record(arch_id=B, evaluator="inherited"),
    ]
    data = pareto_data(summarise(records, costs=["latency_ms"]))
    (panel,) = data.panels
    assert [(p.arch_id, p.cost) for p in panel.inherited] == [(A, 3.0)]


@pytest.mark.parametrize(("dearest", "log"), [(800_000_000, False), (801_000_000, True)])
def test_costs_that_span_more_than_a_factor_of_eight_get_a_log_axis(record, dearest, log):
    records = [record(macs=100_000_000), record(arch_id=B, macs=dearest)]
    assert pareto_data(summarise(records)).panels[0].log_cost is log


def test_another_cost_has_another_axis(record):
    summary = summarise([record(params=8_200_000)], costs=["params"])
    data = pareto_data(summary)
    (panel,) = data.panels
    assert panel.frontier[0].cost == pytest.approx(8.2)
    assert panel.x_label == "Parameters (millions)"


@pytest.mark.parametrize(
    ("fields", "cost", "message"),
    [
        ([], "macs", "no trial is complete"),
        ([{"state": "failed"}], "macs", r"no trial is complete \(1 failed\)"),
        ([{}], "latency_ms", "no complete trial has latency_ms"),
    ],
)
def test_nothing_to_draw_is_said(record, fields, cost, message):
    with pytest.raises(ReportError, match=f"nothing to draw: {message}"):
        pareto_data(summarise([record(**each) for each in fields], costs=[cost]))


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_the_file_is_what_its_suffix_says(confirmed, tmp_path, suffix):
    path = tmp_path / f"frontier{suffix}"
    draw_pareto(pareto_data(summarise(confirmed), dataset="camvid"), path)
    start = path.read_bytes()[:5]
    assert start == {".png": b"\x89PNG\r", ".pdf": b"%PDF-", ".svg": b"<?xml"}[suffix]
    assert list(tmp_path.iterdir()) == [path]
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (1050, 930)  # one column of a paper at 300 dpi


def test_an_unknown_suffix_is_refused(trials, tmp_path):
    with pytest.raises(ReportError, match=r"must end in \.png, \.pdf, \.svg; got 'frontier\.jpg'"):
        draw_pareto(pareto_data(summarise(trials)), tmp_path / "frontier.jpg")


def test_the_figure_shows_text_from_users_as_it_is(record, tmp_path):
    label = "$\\frac{1}{ <script>\n[bold] " + "long " * 30
    records = [record(), record(arch_id=REF, macs=2000, purpose="reference", label=label)]
    data = pareto_data(summarise(records), dataset="$x_{ & <b>")
    axes = drawn(data)
    (shown,) = axes.texts
    assert shown.get_text() == "$\\frac{1}{ <script> [bold] long…"
    path = tmp_path / "frontier.svg"
    draw_pareto(data, path)  # neither is read as a formula, which would fail
    assert "$x_{ &amp; &lt;b&gt; · 1 architecture" in path.read_text()


@pytest.mark.parametrize("label", ["$\\frac{1}{ <$ &", "", "_plain"])
def test_a_name_that_references_share_is_shown_as_it_is(record, label, tmp_path):
    references = [
        record(arch_id=f"{n:012x}", macs=n, purpose="reference", label=label) for n in (20, 30)
    ]
    data = pareto_data(summarise([record(), *references]))
    axes = drawn(data)
    (legend,) = axes.figure.legends
    beside = [text.get_text() for text in axes.texts if text.get_text()]
    said = [text.get_text() for text in legend.get_texts()]
    # Legends leave out what begins with an underscore.
    assert (said[-1], beside) == (
        ("reference", ["_plain"] * 2) if label == "_plain" else (label or "reference", [])
    )
    draw_pareto(data, tmp_path / "frontier.svg")  # and is no formula, which would fail


def test_one_point_and_one_many_times_over_can_be_drawn(record, tmp_path):
    for macs in (0, 10):
        draw_pareto(pareto_data(summarise([record(macs=macs)])), tmp_path / "one.png")
    many = summarise(record(arch_id=f"{index:012x}") for index in range(500))
    draw_pareto(pareto_data(many), tmp_path / "many.png")
    assert {path.name for path in tmp_path.iterdir()} == {"one.png", "many.png"}


def test_groups_differ_in_marker_or_lightness(confirmed):
    axes = drawn(pareto_data(summarise(confirmed)))
    groups = [group for group in axes.collections if isinstance(group, PathCollection)]
    looks = {
        (len(group.get_paths()[0].vertices), round(sum(to_rgb(group.get_facecolor()[0])) / 3, 1))
        for group in groups
    }
    assert len(groups) == len(looks) == 4  # searched, frontier, confirmed dominated, reference


def test_a_likelier_architecture_is_darker(record):
    records = [
        record(arch_id=f"{index:012x}", macs=10 * (index + 1), miou=0.2 + 0.01 * index)
        for index in range(6)
    ]
    summary = summarise(records, noise=0.003)
    data = pareto_data(summary)
    (panel,) = data.panels
    chances = [point.probability for point in panel.frontier]
    assert chances == [summary.probabilities[point.arch_id] for point in panel.frontier]
    axes = drawn(data)
    (marks,) = [g for g in axes.collections if str(g.get_label()).startswith("frontier")]
    assert marks.get_label().endswith("darker = likelier")
    lightness = [sum(to_rgb(color)) for color in marks.get_facecolor()]
    assert sorted(range(6), key=chances.__getitem__) == sorted(
        range(6), key=lightness.__getitem__, reverse=True
    )
    unknown = pareto_data(summarise(records))
    (unsure,) = unknown.panels
    assert all(math.isnan(point.probability) for point in unsure.frontier)


def point(cost, miou, label="", half=math.nan):
    return ParetoPoint(
        arch_id="", label=label, cost=cost, score=miou, low=miou - half, high=miou + half
    )


def crowded(num):
    """A frontier with a reference close below every other architecture, each with its interval."""
    frontier = [point(1 + 0.2 * n, 35 + n, half=1) for n in range(num)]
    references = [
        point(1.01 * p.cost, p.score - 0.5, f"reference {n}", half=1.2)
        for n, p in enumerate(frontier)
        if n % 2
    ]
    rng = random.Random(0)
    searched = [point(rng.uniform(1, 1 + 0.2 * num), rng.uniform(30, 35 + num)) for _ in range(60)]
    panel = ParetoPanel(
        cost="cost",
        searched=tuple(searched),
        inherited=(),
        frontier=tuple(frontier),
        confirmed_dominated=(point(1.5, 33, half=1),),
        references=tuple(references),
        staircase=tuple((p.cost, p.score) for p in frontier),
        log_cost=False,
        x_label="GMACs",
    )
    return ParetoData(
        panels=(panel,),
        score=OBJECTIVES["miou"],
        confirmed=True,
        confidence=0.95,
        y_label="mIoU (%)",
        caption="crowded",
    )


@pytest.mark.parametrize("num", [6, 14])
def test_names_hide_neither_marks_nor_each_other_and_stay_inside(num):
    data = crowded(num)
    (panel,) = data.panels
    axes = drawn(data)
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == num // 2
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    frame = axes.get_window_extent()
    for box in boxes:
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        for mark in (*panel.frontier, *panel.confirmed_dominated, *panel.references):
            assert not box.contains(*axes.transData.transform((mark.cost, mark.score)))


@pytest.fixture
def camvid():
    """The records of a real search, with three references of one name."""
    return TrialStore(Path(__file__).parents[2] / "docs" / "data" / "camvid").records()


def test_the_names_of_the_camvid_search_are_apart(camvid):
    ids = sorted({record.arch_id for record in camvid if record.label})
    named = [
        record.model_copy(update={"label": f"b1 at {ids.index(record.arch_id)}"})
        if record.label
        else record
        for record in camvid
    ]
    data = pareto_data(summarise(named))
    axes = drawn(data)
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert len(boxes) == 3
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    points = axes.transData.transform([(p.cost, p.score) for p in data.panels[0].searched])
    assert not any(box.contains(*point) for box in boxes for point in points)


def test_a_name_that_all_references_share_is_said_once_in_the_legend(camvid):
    data = pareto_data(summarise(camvid))
    assert [point.label for point in data.panels[0].references] == ["b1 scaled"] * 3
    axes = drawn(data)
    assert not axes.texts
    (legend,) = axes.figure.legends
    assert "b1 scaled (95% interval)" in [text.get_text() for text in legend.get_texts()]


def test_a_name_beside_its_mark_has_no_line_and_one_further_off_has(confirmed):
    near = drawn(pareto_data(summarise(confirmed))).texts
    assert [text.arrow_patch for text in near] == [None]
    assert any(text.arrow_patch for text in drawn(crowded(14)).texts)


def test_data_is_frozen(trials):
    data = pareto_data(summarise(trials))
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.caption = "other"


def test_scores_with_inherited_weights_are_drawn_before_any_training(record, tmp_path):
    data = pareto_data(summarise([record(evaluator="inherited", miou=0.4)]), dataset="scenes")
    (panel,) = data.panels
    assert [point.score for point in panel.inherited] == [pytest.approx(40)]
    assert (panel.frontier, panel.searched, panel.staircase) == (
        (),
        (),
        (),
    )
    assert data.caption == "scenes · 1 scored with inherited weights · 0 architectures trained"
    draw_pareto(data, tmp_path / "inherited.png")


def test_what_lacks_the_cost_is_counted_in_the_caption(record):
    records = [
        record(arch_id=f"{n:012x}", latency_ms=None if n else 3.0, miou=0.3 + 0.1 * n)
        for n in range(3)
    ]
    data = pareto_data(summarise(records, costs=["latency_ms"]))
    (panel,) = data.panels
    assert len(panel.searched) == 1
    assert "3 architectures, 2 of them not drawn, for want of a latency" in data.caption


def test_a_frontier_by_what_no_trial_has_is_not_drawn(record):
    with pytest.raises(ReportError, match="no complete trial has cross_entropy"):
        pareto_data(summarise([record()], criterion="cross_entropy"))


def test_two_costs_are_two_sides_of_one_frontier(record, tmp_path):
    """C is cheap in neither way, but in both at once nothing is as good."""
    records = [
        record(arch_id=A, macs=1 * 10**8, params=9_000_000, miou=0.30),
        record(arch_id=B, macs=9 * 10**8, params=1_000_000, miou=0.31),
        record(arch_id=C, macs=2 * 10**8, params=2_000_000, miou=0.29),
        record(arch_id=REF, macs=3 * 10**8, params=3_000_000, miou=0.28),
    ]
    data = pareto_data(summarise(records, costs=["macs", "params"]), image_size=(32, 48))
    first, second = data.panels
    assert [p.arch_id for p in first.frontier] == [p.arch_id for p in second.frontier] == [A, C, B]
    assert [p.cost for p in first.frontier] == pytest.approx([0.1, 0.2, 0.9])
    assert [p.cost for p in second.frontier] == pytest.approx([9, 2, 1])
    assert (first.cost, second.cost) == ("multiply-adds", "parameters")
    assert second.x_label == "Parameters (millions)"
    assert (first.staircase, second.staircase) == ((), ())
    assert "one frontier of mIoU, multiply-adds and parameters, seen from 2 sides" in data.caption
    path = tmp_path / "frontier.png"
    draw_pareto(data, path)
    with Image.open(path) as image:
        assert image.size == (2100, 930)  # two columns of a paper
    left, right = drawn(data).figure.axes
    assert left.get_ylabel() == "mIoU (%)"
    assert right.get_ylabel() == ""
    for axes, panel in ((left, first), (right, second)):
        (marks,) = [g for g in axes.collections if str(g.get_label()).startswith("frontier")]
        assert marks.get_offsets().tolist() == [[p.cost, p.score] for p in panel.frontier]
