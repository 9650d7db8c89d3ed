"""`hrvit-report`: pages, drawings, and what it refuses."""

import http.client
import json
import re
import signal
import socket
import struct
import time
from functools import partial

import pytest
from PIL import Image

from hrvit_nas.arch import get_arch, get_hrvit, scale_widths
from hrvit_nas.cli.report import main
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import TrialStore
from hrvit_nas.search.layout import RunLayout


@pytest.fixture
def report(run_command):
    """Runs `hrvit-report`: (status, stdout, stderr)."""
    return partial(run_command, main)


@pytest.fixture
def run(tmp_path, record, make_config):
    """A run of one trial, and its architecture."""
    spec = scale_widths(get_hrvit("hrvit_b1"), 0.25)
    cost = estimate_cost(spec, (32, 48), num_classes=8)
    directory = tmp_path / "run"
    with TrialStore(directory, write=True) as store:
        store.append(
            record(arch_id=spec.id, arch=spec.to_json(), macs=cost.macs, params=cost.params)
        )
    config = make_config()
    content = {"config": config.model_dump(mode="json"), "space": config.load_space().to_dict()}
    RunLayout(directory).config.write_text(json.dumps(content))
    return directory, spec


def test_a_page_lies_in_the_run_or_where_it_is_asked_for(report, run, tmp_path):
    directory, _ = run
    status, out, err = report(directory)
    assert (status, err) == (0, f"{directory}: 1 trial\n")
    assert out.startswith(f"{directory / 'report.html'} (")
    page = (directory / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    status, _, _ = report(directory, directory, "--output", "both.html")
    assert status == 0
    assert (tmp_path / "both.html").stat().st_size > len(page)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_preset_is_drawn(report, tmp_path, suffix):
    status, out, err = report("--arch", "hrvit_b1", "--output", f"b1.{suffix}")
    assert (status, out, err) == (0, f"b1.{suffix}\n", "")
    content = (tmp_path / f"b1.{suffix}").read_bytes()
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[suffix])


def test_architectures_are_found_wherever_they_are(report, run, tmp_path):
    directory, spec = run
    (tmp_path / "one.json").write_text(spec.to_json())
    for arguments in (
        ["--arch", f"{directory}:{spec.id}"],
        ["--arch", str(directory)],
        [directory, "--arch", spec.id],
        ["--arch", "one.json"],
        ["--arch", spec.to_json()],
    ):
        status, _, err = report(*arguments)
        assert (status, err) == (0, "")
        assert spec.id in (tmp_path / "architecture.svg").read_text()
        (tmp_path / "architecture.svg").unlink()


def test_two_architectures_come_with_their_difference(report, run, tmp_path):
    directory, spec = run
    report("--arch", "hrvit_b1", "--output", "one.png")
    status, _, err = report("--arch", "hrvit_b1", "--arch", str(directory), "--output", "two.png")
    assert (status, err) == (0, "")
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert two.width == pytest.approx(3 * one.width, abs=3)
    report("--arch", "hrvit_b1", "--arch", str(directory), "--output", "two.svg")
    assert f"{spec.id} less hrvit_b1" in (tmp_path / "two.svg").read_text()
    status, _, err = report("--arch", "hrvit_b1", "--arch", "mit_b0")
    assert (status, err) == (0, "a difference is drawn between two HRViTs only\n")


def test_a_damaged_run_is_one_line(report, run):
    directory, _ = run
    (directory / "trials.jsonl").write_text("{}\n")
    status, _, err = report(directory)
    assert status == 2
    assert err.count("\n") == 1
    assert "line 1 has schema version None" in err


def test_a_watched_run_is_served_until_it_is_interrupted(start_search, run, record, wait_for):
    directory, spec = run
    process = start_search(directory, "--watch", command="report")
    wait_for(lambda: "Ctrl-C" in process.out.read_text(), process)
    host, port = re.search(r"http://([\d.]+):(\d+)/", process.out.read_text()).groups()
    assert host == "127.0.0.1"

    def get(path, **headers):
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    status, page = get("/")
    assert status == 200
    assert "1 complete, 0 failed" in page
    version = get("/version")[1]
    assert f'"live":"{version}"' in page
    # A name of another site that points here gets nothing.
    assert get("/", Host="evil.example:80")[0] == 403
    assert get("/trials.jsonl")[0] == 404
    # A browser that leaves before its answer leaves no trace.
    with socket.create_connection((host, int(port))) as gone:
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        gone.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    with TrialStore(directory, write=True) as store:
        store.append(record(number=1, arch_id=spec.id, arch=spec.to_json(), seed=1))
    deadline = time.monotonic() + 120
    while get("/version")[1] == version:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "2 complete, 0 failed" in get("/")[1]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.err.read_text() == ""


def test_every_preset_can_be_drawn(report, tmp_path):
    for name in ("hrvit_b2", "cswin_s", "mit_b4"):
        assert report("--arch", name)[0] == 0
        assert get_arch(name).id not in (tmp_path / "architecture.svg").read_text()
        assert name in (tmp_path / "architecture.svg").read_text()
