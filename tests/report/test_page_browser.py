"""The page in a real Chromium: hover, brush, copy, save, keyboard, phone width, refresh."""

import csv
import json
import os
import shutil
from threading import Thread

import pytest

from hrvit_nas.report.page import LivePage, build_page, make_server
from hrvit_nas.report.run import load_run
from hrvit_nas.results import TrialStore

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine; `make browser` installs Debian's"
)
# As root Chromium has no sandbox. It is kept from calling its maker, and draws WebGL without a GPU.
OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
HOSTILE = "<img src=x onerror=alert(1)> </script>\"'& имя %{y} " + "long " * 60
# Tests run as fast as the page is; these wait for what it does, not for a time.
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def browser():
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=[*OPTIONS, *sandbox], timeout=120_000
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def document(whole_run, write_run, trials_of, tmp_path_factory):
    """A page of a search and of a hostile one, as a file."""
    folder = tmp_path_factory.mktemp("page")
    records = trials_of(14)
    records[3] = records[3].model_copy(update={"purpose": "reference", "label": HOSTILE})
    records.append(trials_of.trial(records[4].spec, state="failed", error=HOSTILE, seed=9))
    hostile = write_run(folder / "hostile", records)
    path = folder / "report.html"
    path.write_text(build_page([load_run(whole_run), load_run(hostile)]))
    return path


@pytest.fixture
def open_page(browser):
    """Opens an address; afterwards nothing may be amiss: console, dialogs, requests elsewhere."""
    contexts, faults = [], []

    def open_page(address, width=1200, height=900, allowed=()):
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda message: _note(faults, message))
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "data:", "blob:", *allowed))
                else faults.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def _note(faults, message):
    # The software renderer warns that it is slow.
    if message.type in ("error", "warning") and "GL Driver Message" not in message.text:
        faults.append(f"console: {message.text}")


def drawn(page, name):
    """A chart once it is drawn."""
    chart = page.locator(f"#{name}")
    chart.scroll_into_view_if_needed()
    page.wait_for_function("name => document.getElementById(name)._fullLayout", arg=name)
    return chart


def test_every_chart_is_drawn_and_nothing_is_amiss(open_page, document):
    page = open_page(document.as_uri())
    names = page.eval_on_selector_all(".chart", "all => all.map((one) => one.id)")
    assert len(names) > 15
    for name in names:
        drawn(page, name)
    assert page.locator(".main-svg").count() >= len(names)
    assert page.locator(".parcoords .y-axis").count() > 10
    assert page.get_by_text("WebGL is not supported").count() == 0
    # What a run calls itself is text: no element came of it, and it stands there whole.
    assert page.locator("img[src=x]").count() == 0
    assert HOSTILE.split()[0] in page.inner_text("#run-1-facts")


def test_hovering_over_a_point_says_what_it_is(open_page, document, whole_run):
    page = open_page(document.as_uri())
    drawn(page, "run-0-pareto")
    best = load_run(whole_run).summary.frontier[-1]
    place = page.evaluate(
        """id => {
          const chart = document.getElementById("run-0-pareto");
          const trace = chart.data.find((one) => (one.name || "").startsWith("frontier"));
          const point = trace.customdata.findIndex((row) => row[0] === id);
          const box = chart.getBoundingClientRect();
          const {xaxis, yaxis} = chart._fullLayout;
          return [box.left + xaxis._offset + xaxis.d2p(trace.x[point]),
                  box.top + yaxis._offset + yaxis.d2p(trace.y[point])];
        }""",
        best.arch_id,
    )
    page.mouse.move(*place, steps=4)
    page.wait_for_selector("#run-0-pareto .hoverlayer text")
    words = page.text_content("#run-0-pareto .hoverlayer")
    assert best.arch_id in words
    assert f"{100 * best.interval.mean:.2f}%" in words
    page.mouse.click(*place)  # and a click leads to its row
    page.wait_for_function("document.activeElement.classList.contains('copy')")
    assert page.locator(f"#run-0-{best.arch_id} details").get_attribute("open") is not None


def brushed(page):
    return page.text_content("form.brush[data-chart=run-0-parallel-chart] output")


def test_brushing_with_the_mouse_picks_lines_rows_and_points(open_page, document, whole_run):
    page = open_page(document.as_uri())
    drawn(page, "run-0-parallel-chart")
    axis = page.locator("#run-0-parallel-chart .axis-brush").last  # mIoU
    box = axis.bounding_box()
    x, top = box["x"] + box["width"] / 2, box["y"] + 20
    page.mouse.move(x, top + 4)
    page.mouse.down()
    page.mouse.move(x, top + (box["height"] - 40) / 3, steps=8)
    page.mouse.up()
    page.wait_for_function(
        "document.querySelector('form.brush[data-chart=run-0-parallel-chart] output').textContent"
    )
    count = int(brushed(page).split()[0])
    assert 0 < count < 16
    rows = page.locator("table.architectures[data-chapter=run-0] tbody[data-id]")
    assert page.locator("table.architectures[data-chapter=run-0] tbody[hidden]").count() > 0
    # What has no line, such as a reference, is not brushed away.
    reference = load_run(whole_run).summary.references[0].arch_id
    assert page.locator(f"#run-0-{reference}").is_visible()
    assert rows.count() > 1


def test_brushing_with_the_keyboard(open_page, document, whole_run):
    page = open_page(document.as_uri())
    drawn(page, "run-0-parallel-chart")
    form = page.locator("form.brush[data-chart=run-0-parallel-chart]")
    form.locator("select[name=axis]").focus()
    page.keyboard.type("width_1")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    run = load_run(whole_run)
    expected = sum(genes["width_1"] == 8 for genes in run.genes.values())
    page.wait_for_function(
        "document.querySelector('form.brush[data-chart=run-0-parallel-chart] output').textContent"
    )
    assert brushed(page) == f"{expected} of 16 architectures"
    form.locator("button[type=reset]").press("Enter")
    page.wait_for_function(
        "!document.querySelector('form.brush[data-chart=run-0-parallel-chart] output').textContent"
    )
    assert page.locator("table.architectures[data-chapter=run-0] tbody[hidden]").count() == 0


@pytest.mark.parametrize("may_copy", [True, False])
def test_the_copy_button_copies_the_arch_spec(open_page, document, whole_run, may_copy):
    page = open_page(document.as_uri())
    if may_copy:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    else:  # as on a page that is not trusted, where a way of old is left
        page.evaluate(
            "() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }"
        )
    arch = load_run(whole_run).summary.frontier[0].arch_id
    page.locator(f"#run-0-{arch} button.copy").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('said').textContent")
    assert page.text_content("#said") == "ArchSpec copied"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    run = load_run(whole_run)
    assert page.evaluate("navigator.clipboard.readText()") == run.specs([arch])[arch].to_json()


def test_a_budget_hides_rows_and_the_rest_is_saved(open_page, document, whole_run, tmp_path):
    page = open_page(document.as_uri())
    rows = [
        r for r in load_run(whole_run).summary.rows if r.on_frontier or r.reference or r.confirmed
    ]
    budget = sorted(row.macs for row in rows)[1] / 1e9
    form = page.locator("form.budget[data-chapter=run-0]")
    form.locator("input[name=gmacs]").fill(f"{budget:.9f}")
    assert form.locator("output").text_content() == f"2 of {len(rows)} shown"
    with page.expect_download() as download:
        form.locator("button.csv").click()
    path = tmp_path / "saved.csv"
    download.value.save_as(path)
    saved = list(csv.DictReader(path.open(newline="")))
    assert len(saved) == 2
    assert all(float(row["GMACs"]) <= 1.001 * budget for row in saved)
    assert json.loads(saved[0]["ArchSpec"])["modules"]


def test_a_phone_shows_all_without_scrolling_sideways(open_page, document):
    page = open_page(document.as_uri(), width=390, height=844)
    for name in page.eval_on_selector_all(".chart", "all => all.map((one) => one.id)"):
        chart = drawn(page, name)
        kind = chart.get_attribute("data-kind")
        if kind != "parallel":
            assert chart.bounding_box()["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    # Titles of axes, which hold the units, are not cut off.
    for box in page.evaluate(
        "[...document.querySelectorAll('.xtitle')]"
        ".map((one) => one.getBoundingClientRect().toJSON())"
    ):
        assert box["left"] >= 0
        assert box["right"] <= 390
    page.locator("nav summary").first.press("Enter")
    assert page.locator("nav a").first.is_visible()


@pytest.mark.parametrize("width", [1000, 1400])
def test_drawings_are_shown_whole_where_there_is_room(open_page, document, width):
    page = open_page(document.as_uri(), width=width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for place in (".pictures img", ".inside img"):
        for image in page.locator(place).all():
            image.scroll_into_view_if_needed()
    edges = page.evaluate(
        """[...document.querySelectorAll('.pictures img, .inside img')].map((image) => {
          const around = image.closest('.scroll, .pictures');
          return [image.getBoundingClientRect(), around.getBoundingClientRect()]
            .flatMap((box) => [box.left, box.right]);
        })"""
    )
    assert len(edges) > 6
    for left, right, first, last in edges:
        assert first <= left < left + 600 < right <= last


def test_marks_differ_without_colour(open_page, document):
    page = open_page(document.as_uri())
    drawn(page, "run-0-pareto")
    marks = page.evaluate(
        """document.getElementById("run-0-pareto").data.filter((one) => one.marker)
          .map((one) => [one.marker.symbol, one.marker.size])"""
    )
    assert len(marks) == len({tuple(mark) for mark in marks}) >= 3


def test_a_served_page_refreshes_when_its_run_goes_on(open_page, write_run, trials_of, tmp_path):
    records = trials_of(4)
    run = write_run(tmp_path / "live", records[:3])
    with make_server(LivePage([run])) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        page = open_page(address)
        assert "3 complete, 0 failed" in page.inner_text("#run-0-facts")
        page.fill("#run-0-gmacs", "0.5")
        with TrialStore(run, write=True) as store:
            store.append(records[3])
        page.wait_for_function(
            "document.getElementById('run-0-facts').innerText.includes('4 complete')"
        )
        assert page.input_value("#run-0-gmacs") == "0.5"  # what the reader had set is kept
        page.close()  # which would ask a server that is gone
        server.shutdown()
