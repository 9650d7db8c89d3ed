"""The page as a document: complete, honest in its captions, and safe with any text."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from hrvit_nas.report.page import build_page
from hrvit_nas.report.run import load_run
from hrvit_nas.results import HistoryPoint
from hrvit_nas.search.plan import calibration_archs

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'><b onmouseover=alert(1)>bold</b>",
    "имя 名前 \N{RIGHT-TO-LEFT OVERRIDE}‮ {{ 7 * 7 }} ${x} %{y}",
    "long " * 400,
    "bell\x07 escape\x1b[31m null\x00 \ufffe",
]


class Page(HTMLParser):
    """What a browser would see: elements, texts, and the data for the script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.scripts = [], [], [], []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self._script = tag == "script"
        if self._script:
            self.scripts.append("")

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = False

    def handle_data(self, data):
        if self._script:
            self.scripts[-1] += data
        elif data.strip():
            self.texts.append(" ".join(data.split()))

    @property
    def data(self):
        return json.loads(self.scripts[0])


def page_of(*directories):
    return Page(build_page([load_run(directory) for directory in directories]))


@pytest.fixture(scope="module")
def page(whole_run):
    return page_of(whole_run)


def test_the_page_holds_every_part_of_a_search(page):
    for heading in (
        "What was run",
        "Frontier",
        "Frontier architectures and references",
        "The reference, the best architecture, and their difference",
        "Genes",
        "Importance of genes",
        "Allocation over branches",
        "Learning curves",
    ):
        assert heading in page.texts, heading
    assert sum(tag == "img" for tag in page.tags) > 3


def test_a_frontier_of_two_costs_is_seen_from_both_sides(write_run, trials_of, tmp_path):
    page = page_of(write_run(tmp_path / "both", trials_of(12), costs=["macs", "params"]))
    assert page.attributes.count(("data-kind", "frontier")) == 2
    assert {"mIoU against multiply-adds", "mIoU against parameters"} <= set(page.texts)
    assert {"for mIoU", "for few multiply-adds", "for few parameters"} <= set(page.texts)


def test_nothing_is_fetched_from_anywhere(page):
    for name, value in page.attributes:
        if name in ("src", "href", "action", "srcset"):
            assert value.startswith(("#", "data:")), (name, value[:80])
    policy = next(value for name, value in page.attributes if "default-src" in str(value))
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy


def test_every_chart_has_units_and_its_caption_n_and_seeds(
    whole_run, write_run, tmp_path, trials_of
):
    random_run = write_run(tmp_path / "random", trials_of(14), sampler="random")
    text = build_page([load_run(whole_run), load_run(random_run)])
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", text, re.DOTALL)
    charts = Page(text).data["charts"]
    assert len(captions) == len(charts) > 12
    for caption in captions:
        assert re.search(r"\d[\d,]* (\w+ )?architectures?|n = \d", caption), caption
        assert re.search(r"seeds?\b.*\d", caption), caption
    unitless = {"trials that ended", "optimiser steps", "expansion ratio"}
    for name, chart in charts.items():
        for axis in ("xaxis", "yaxis"):
            title = chart["layout"].get(axis, {}).get("title", {}).get("text", "")
            known = "(" in title or title in unitless or "divergence" in title or not title
            assert known, (name, title)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_name_and_note_is_shown_as_text(text, write_run, trials_of, tmp_path, page):
    records = trials_of(14)
    records[3] = records[3].model_copy(update={"purpose": "reference", "label": text})
    records.append(trials_of.trial(records[4].spec, state="failed", error=text, seed=9))
    found = page_of(write_run(tmp_path / "search", records))
    shown = " ".join(text.split())
    if "\x00" not in text:  # which no HTML may hold
        assert any(shown in words for words in found.texts)  # the error, whole
    for name, value in found.attributes:
        if name == "src":  # every drawing is an image that a browser can read
            ElementTree.fromstring(base64.b64decode(value.partition(",")[2]))
    assert set(found.tags) <= set(page.tags)
    assert not any(name.startswith("on") for name, _ in found.attributes)
    assert len(found.scripts) == 3
    # What Plotly reads as markup comes escaped, and not longer than a chart has room for.
    reference = next(
        t for t in found.data["charts"]["run-0-pareto"]["data"] if "reference" in t.get("name", "")
    )
    label = reference["customdata"][0][1]
    assert "<" not in label
    assert len(label) < 200


def test_a_run_with_one_trial_has_a_page(write_run, trials_of, tmp_path):
    found = page_of(write_run(tmp_path / "one", trials_of(1)))
    assert "1 complete, 0 failed" in found.texts
    assert any(words.startswith("every score is of one seed") for words in found.texts)
    assert any("importance needs finite scores" in words for words in found.texts)


def test_a_run_with_no_trial_has_a_page(write_run, tmp_path):
    found = page_of(write_run(tmp_path / "none", []))
    assert "no trial is complete yet" in found.texts
    assert found.data["charts"] == {}


def test_a_run_that_only_failed_has_a_page_that_says_why(write_run, trials_of, tmp_path):
    records = [
        trials_of.trial(item.spec, number=number, state="failed", error="loss became NaN")
        for number, item in enumerate(trials_of(3))
    ]
    found = page_of(write_run(tmp_path / "failed", records))
    assert "failed 3 times: loss became NaN" in found.texts
    assert "0 complete, 3 failed" in found.texts


def test_published_networks_have_axes_of_their_own(write_run, trials_of, tmp_path):
    data = {"name": "cityscapes", "root": str(tmp_path), "image_size": [32, 48]}
    found = page_of(write_run(tmp_path / "city", trials_of(3), data=data))
    chart = found.data["charts"]["run-0-published-chart"]
    assert [trace["name"] for trace in chart["data"]] == ["HRViT", "MiT", "CSWin"]
    assert chart["data"][0]["y"] == [81.63, 82.81, 83.16]
    assert any("a proxy's scores are no match" in words for words in found.texts)


def test_many_points_are_counted_in_bins(write_run, trials_of, tmp_path, monkeypatch):
    monkeypatch.setattr("hrvit_nas.report.page.charts.frontier.MOST_POINTS", 10)
    found = page_of(write_run(tmp_path / "many", trials_of(14)))
    first = found.data["charts"]["run-0-pareto"]["data"][0]
    assert first["type"] == "heatmap"
    assert sum(map(sum, first["text"])) == 14


def test_specs_to_copy_are_those_of_the_architectures(whole_run, page):
    run = load_run(whole_run)
    arch_ids = [
        row.arch_id for row in run.summary.rows if row.on_frontier or row.reference or row.confirmed
    ]
    copied = [value for name, value in page.attributes if name == "data-spec"]
    assert copied == [run.specs([arch_id])[arch_id].to_json() for arch_id in arch_ids]


def test_a_partly_confirmed_frontier_is_called_so(write_run, trials_of, tmp_path):
    records = trials_of(14)
    best = max(records, key=lambda item: item.miou)
    records.append(best.model_copy(update={"seed": 1, "purpose": "confirmation"}))
    run = load_run(write_run(tmp_path / "partly", records))
    assert 1 == run.summary.num_confirmed < len(run.summary.frontier)
    found = Page(build_page([run]))
    count = len(run.summary.frontier)
    assert any(
        f"1 of {count} frontier architectures are confirmed so far" in t for t in found.texts
    )
    assert any("1 frontier architectures have one confirming seed" in t for t in found.texts)
    assert any(f"1 of {count} architectures confirmed" in t for t in found.texts)


def test_a_search_with_a_supernet_is_shown_before_anything_is_trained_alone(
    write_run, trials_of, tmp_path
):
    records = trials_of(5, evaluator="inherited")
    found = page_of(write_run(tmp_path / "supernet", records, "supernet_search"))
    chart = found.data["charts"]["run-0-pareto"]["data"]
    assert [trace["name"] for trace in chart] == ["inherited weights"]
    assert len(chart[0]["x"]) == 5
    assert any("without training the supernet" in words for words in found.texts)


def test_names_are_no_templates_of_charts(write_run, trials_of, tmp_path):
    runs = [
        load_run(write_run(tmp_path / name, trials_of(3, seed)))
        for seed, name in enumerate(("%{x}<b>one", "%{y}two"))
    ]
    charts = Page(build_page(runs)).data["charts"]
    templates = [
        trace.get("hovertemplate", "") for chart in charts.values() for trace in chart["data"]
    ]
    assert not any("one" in template or "two" in template for template in templates)


def test_a_supernets_ranking_consistency_stands_on_its_page(
    write_run, trials_of, tmp_path, make_config
):
    settings = {"kind": "supernet_search", "ranking_check": 6, "ranking_seeds": 2}
    config = make_config(**settings)
    records = []
    for number, spec in enumerate(calibration_archs(config.load_space(), config, 6)):
        for seed, evaluator in ((0, "inherited"), (0, "trained"), (1, "trained")):
            score = 0.3 + 0.01 * number + 0.001 * seed
            history = (HistoryPoint(step=3, miou=score, cross_entropy=2 - score),)
            record = trials_of.trial(
                spec,
                number=len(records),
                seed=seed,
                purpose="ranking_check",
                evaluator=evaluator,
                miou=score,
            )
            records.append(record.model_copy(update={"history": history}))
    found = page_of(write_run(tmp_path / "supernet", records, **settings))
    chart = found.data["charts"]["run-0-consistency-chart"]["data"][0]
    assert len(chart["x"]) == 6
    assert any(words.startswith("6 architectures of") for words in found.texts)
    assert {"cross entropy", "mIoU"} <= set(found.texts)
