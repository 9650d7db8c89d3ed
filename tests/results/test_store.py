"""The store of trials: what is stored comes back, and damage is named or mended."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import ValidationError

from hrvit_nas.arch import get_arch
from hrvit_nas.results import (
    SCHEMA,
    SCHEMA_VERSION,
    HistoryPoint,
    StoreError,
    TrialRecord,
    TrialStore,
)
from hrvit_nas.results.records import Evaluator, Purpose, TrialKey
from hrvit_nas.results.store import sealed

fractions = st.floats(0, 1)
# Few characters, but the awkward ones.
names = st.text('a "\\\n\0[<é漢😀\u2028', max_size=20)
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
counts = st.integers(0, 2**60)
scores = st.none() | fractions
points = st.builds(
    HistoryPoint, counts, fractions, *[scores] * 3, *[st.none() | st.floats(0, 1e9)] * 2
)


@st.composite
def records(draw):
    failed = draw(st.booleans())
    return TrialRecord(
        number=draw(counts),
        arch_id=draw(st.text("0123456789abcdef", min_size=12, max_size=12)),
        arch=draw(names),
        purpose=draw(st.sampled_from(get_args(Purpose))),
        evaluator=draw(st.sampled_from(get_args(Evaluator))),
        budget=draw(st.integers(1, 2**60)),
        label=draw(names),
        seed=draw(st.integers(-(2**62), 2**62)),
        state="failed" if failed else "complete",
        miou=None if failed else draw(fractions),
        uncalibrated_miou=draw(scores),
        macs=draw(counts),
        published_macs=draw(counts),
        params=draw(counts),
        peak_activation_bytes=draw(counts),
        latency_ms=draw(st.none() | st.floats(0, 1e6)),
        seconds=draw(st.floats(0, 1e9)),
        steps=draw(counts),
        error=draw(names.filter(bool)) if failed else "",
        finished_at=draw(times),
        worker=draw(names),
        history=tuple(draw(st.lists(points, max_size=3))),
    )


@settings(deadline=None, max_examples=30)  # each example syncs to disk
@given(written=st.lists(records(), max_size=4, unique_by=lambda record: record.number))
def test_journal_and_table_give_back_what_was_written(written, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with TrialStore(folder, write=True) as store:
        for record in written:
            store.append(record)
        assert store.records() == written
        path = store.write_parquet()
    assert TrialStore(folder).records() == written
    rows = parquet.read_table(path).to_pylist()
    by_number = sorted(written, key=lambda record: record.number)
    assert [TrialRecord.model_validate(row) for row in rows] == by_number


@settings(max_examples=60)
@given(written=st.lists(records(), min_size=2, max_size=3), data=st.data())
def test_a_flipped_bit_is_never_read_as_something_else(written, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with TrialStore(folder, write=True) as store:
        for record in written:
            store.append(record)
    content = bytearray(store.journal.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    store.journal.write_bytes(content)
    if content.endswith(b"\n"):
        with pytest.raises(StoreError, match=r"line \d ") as caught:
            TrialStore(folder)
        assert len(str(caught.value).replace(str(folder), "")) < 250
    else:  # it looks torn
        assert TrialStore(folder).records() == written[:-1]


def test_table_has_named_columns_with_units_and_a_version(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record())
        table = parquet.read_table(store.write_parquet())
    assert table.column_names == list(SCHEMA)
    for field in table.schema:
        assert field.metadata[b"unit"].decode() == SCHEMA[field.name].unit
        assert field.metadata[b"description"].decode() == SCHEMA[field.name].description
    assert int(table.schema.metadata[b"schema_version"]) == SCHEMA_VERSION
    assert SCHEMA["miou"].unit == "fraction"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("tmp")] == []


VERSION = f'"schema_version":{SCHEMA_VERSION}'


def unsealed(line):
    """What a line's checksum is of."""
    return line.rpartition(',"crc32":')[0]


def resealed(line):
    """A line with the checksum of what it holds."""
    return sealed(unsealed(line).encode()).decode().rstrip("\n")


def earlier(record, version, origin="search", **fields):
    """The line that a version before wrote of a record."""
    line = json.loads(record.model_dump_json())
    for name in ("purpose", "evaluator", "budget"):
        del line[name]
    if version >= 5:
        line["long"] = False
    if version < 3:
        del line["uncalibrated_miou"]
    return json.dumps({"schema_version": version, "origin": origin} | line | fields) + "\n"


def test_a_journal_of_the_first_version_is_read(tmp_path, record):
    line = earlier(record(), 1, history=[[50, 0.1], [100, 0.2]])
    (tmp_path / "trials.jsonl").write_text(line)
    (old,) = TrialStore(tmp_path).records()
    assert old.history == (HistoryPoint(50, 0.1), HistoryPoint(100, 0.2))


def test_a_journal_of_the_second_version_is_read_and_goes_on(tmp_path, record):
    (tmp_path / "trials.jsonl").write_text(earlier(record(), 2))
    scored = record(number=1, evaluator="inherited", uncalibrated_miou=0.25)
    with TrialStore(tmp_path, write=True) as store:
        store.append(scored)
        store.write_parquet()
    assert TrialStore(tmp_path).records() == [record(), scored]
    table = parquet.read_table(tmp_path / "trials.parquet")
    assert table.column("uncalibrated_miou").to_pylist() == [None, 0.25]


def test_what_a_trial_was_for_is_told_from_records_of_earlier_versions(tmp_path, record):
    made = {
        ("search", "trained"): {},
        ("reference", "trained"): {"origin": "reference", "label": "b1 scaled"},
        ("confirmation", "trained"): {"origin": "confirm", "long": True, "steps": 600},
        ("calibration", "trained"): {"origin": "calibration"},
        ("search", "inherited"): {"origin": "inherited", "steps": 800},
        ("ranking_check", "inherited"): {"origin": "inherited", "label": "trust", "steps": 800},
        ("ranking_check", "trained"): {"origin": "calibration", "label": "trust"},
        ("ablation", "trained"): {"origin": "ablation", "label": "base"},
        ("ablation", "inherited"): {"origin": "inherited", "label": "no DES", "steps": 800},
    }
    lines = [earlier(record(), 5, **fields) for fields in made.values()]
    failed = record(state="failed", steps=0)
    lines += [earlier(failed, 5), earlier(failed, 4, "inherited")]
    (tmp_path / "trials.jsonl").write_text("".join(lines))
    found = TrialStore(tmp_path).records()
    assert [tuple(r.stage) for r in found[:-2]] == list(made)
    assert [r.budget for r in found] == [100, 100, 600, 100, 800, 800, 100, 100, 800, 100, 800]
    assert [r.label for r in found[:7]] == ["", "b1 scaled", "", "", "", "", ""]
    with TrialStore(tmp_path, write=True) as store:
        path = store.write_parquet()
    assert parquet.read_table(path).column("purpose").to_pylist()[2] == "confirmation"


def test_a_score_with_inherited_weights_is_not_a_training(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(evaluator="inherited"))
        assert record().key not in store.completed()
        store.append(record())
        assert store.completed() == {record().key, record(evaluator="inherited").key}
        assert len(store.completed()) == 2


def test_frame_has_nan_for_what_is_missing(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(miou=0.25, history=[(50, 0.1)]))
        store.append(record(number=1, state="failed"))
        frame = store.to_frame()
    assert list(frame) == list(SCHEMA)
    assert frame["miou"].isna().tolist() == [False, True]
    assert frame["miou"][0] == 0.25
    assert frame["macs"].tolist() == [1000, 1000]
    assert frame["history"][0][0] == HistoryPoint(50, 0.1)._asdict()
    assert frame["finished_at"].dt.tz is not None


def test_a_record_checks_itself(record):
    for fields, message in [
        ({"miou": None}, "a complete trial must have a miou"),
        ({"state": "failed", "error": ""}, "must say its error"),
        ({"miou": 1.5}, "less than or equal to 1"),
        ({"seconds": float("inf")}, "finite number"),
        ({"arch_id": "b1"}, "should match pattern"),
        ({"surplus": 1}, "Extra inputs are not permitted"),
        ({"finished_at": datetime(2026, 1, 1)}, "timezone"),
    ]:
        with pytest.raises(ValidationError, match=message):
            record(**fields)


def test_a_record_knows_its_architecture_and_keeps_time_in_utc(record):
    local = datetime(2026, 1, 2, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    made = record(finished_at=local)
    assert made.spec == get_arch("hrvit_b1")
    assert made.finished_at.isoformat() == "2026-01-02T01:00:00+00:00"


def test_completed_leaves_out_the_failed(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(seed=1))
        store.append(record(seed=2, state="failed"))
        assert store.completed() == {TrialKey("0123456789ab", 1, "trained", 100)}


def test_what_comes_of_a_failed_trial_stands_in_its_place(tmp_path, record):
    failed = record(number=1, state="failed", attempts=2)
    other = record(number=2, seed=2)
    again = record(number=1, attempts=3)
    with TrialStore(tmp_path, write=True) as store:
        for one in (record(), failed, other, again):
            store.append(one)
        assert store.records() == [record(), other, again]
    with TrialStore(tmp_path) as store:
        assert store.records() == [record(), other, again]
        assert list(store.to_frame()["number"]) == [0, 1, 2]


def test_a_torn_last_line_is_dropped_with_a_warning_and_then_removed(tmp_path, record, caplog):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record())
        journal = store.journal
    whole = journal.read_bytes()
    for length in (1, len(whole) // 2, len(whole) - 1):
        journal.write_bytes(whole + whole[:length])
        caplog.clear()
        assert len(TrialStore(tmp_path).records()) == 1
        assert "line 2 is unfinished" in caplog.text
        assert len(journal.read_bytes()) == len(whole) + length  # reading mends nothing
        with TrialStore(tmp_path, write=True) as store:
            store.append(record(number=1))
        assert [r.number for r in TrialStore(tmp_path).records()] == [0, 1]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda line: line[:40], "is damaged: EOF"),
        (lambda line: "[1]", "must be a JSON object, got list"),
        (lambda line: line.replace('"miou":0.5', '"miou":0.6'), "is damaged: its content is not"),
        (lambda line: unsealed(line) + "}", "is damaged: it has no checksum"),
        (
            lambda line: resealed(line.replace('"miou":0.5', '"miou":"high"')),
            "is damaged: miou: .*'high'",
        ),
        (
            lambda line: resealed(line.replace(VERSION, '"schema_version":99')),
            f"has schema version 99, this program reads 1 to {SCHEMA_VERSION}",
        ),
        (lambda line: resealed(line.replace(f"{VERSION},", "")), "has schema version None"),
    ],
)
def test_damage_in_the_middle_names_file_and_line(tmp_path, record, damage, message):
    with TrialStore(tmp_path, write=True) as store:
        for number in range(3):
            store.append(record(number=number))
    lines = store.journal.read_text().splitlines()
    lines[1] = damage(lines[1])
    store.journal.write_text("\n".join(lines) + "\n")
    for write in (False, True):
        with pytest.raises(StoreError, match=rf"trials\.jsonl, line 2 {message}") as caught:
            TrialStore(tmp_path, write=write)
        assert "\n" not in str(caught.value)
        assert "remove that line, and the table trials.parquet" in str(caught.value)
    # A refused store must not stay locked.
    store.journal.unlink()
    TrialStore(tmp_path, write=True).close()


def test_reading_what_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(StoreError, match=r"cannot open .*trials\.jsonl: No such file"):
        TrialStore(tmp_path / "missing")


def test_reading_only_refuses_to_append(tmp_path, record):
    TrialStore(tmp_path, write=True).close()
    with pytest.raises(StoreError, match="open for reading only"):
        TrialStore(tmp_path).append(record())


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    code = (
        "import sys; from hrvit_nas.results import TrialStore\n"
        "store = TrialStore(sys.argv[1], write=True); print('open', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
    )
    try:
        assert first.stdout.readline() == b"open\n"
        with pytest.raises(StoreError, match="being written by another process"):
            TrialStore(tmp_path, write=True)
        assert TrialStore(tmp_path).records() == []  # readers are welcome
    finally:
        first.kill()
        first.communicate()
    TrialStore(tmp_path, write=True).close()  # the lock died with its owner


def test_a_full_disk_leaves_the_journal_whole(tmp_path, record):
    code = """if True:
        import json, resource, signal, sys
        from hrvit_nas.results import StoreError, TrialRecord, TrialStore
        record = TrialRecord.model_validate_json(sys.stdin.read())
        with TrialStore(sys.argv[1], write=True) as store:
            store.append(record)
            size = store.journal.stat().st_size
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
            try:
                store.append(record)
            except StoreError as error:
                print(error)
            assert store.journal.stat().st_size == size
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            store.append(record)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        input=record().model_dump_json(),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "cannot write" in done.stdout
    assert "File too large" in done.stdout
    assert TrialStore(tmp_path).records() == [record(), record()]


def test_ten_thousand_trials_load(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(history=[(step, 0.1) for step in range(5)]))
    line = store.journal.read_text()
    with store.journal.open("w") as file:
        for number in range(10_000):
            file.write(resealed(line.replace("0123456789ab", f"{number:012x}")) + "\n")
    assert len(TrialStore(tmp_path).completed()) == 10_000


def test_text_that_utf8_cannot_hold_is_made_to_fit(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(label="photo\udc80", worker="\ud800"))
        store.write_parquet()
    assert [(r.label, r.worker) for r in TrialStore(tmp_path).records()] == [("photo?", "?")]


def test_a_journal_line_is_plain_json(tmp_path, record):
    with TrialStore(tmp_path, write=True) as store:
        store.append(record(label="<b>\n\u2028"))
    lines = store.journal.read_bytes().split(b"\n")
    assert len(lines) == 2
    assert json.loads(lines[0])["schema_version"] == SCHEMA_VERSION


def test_texts_of_architectures_can_stay_on_disk(tmp_path, record):
    b1, b2 = get_arch("hrvit_b1"), get_arch("hrvit_b2")
    with TrialStore(tmp_path, write=True) as store:
        for number, spec in enumerate((b1, b2, b1)):
            store.append(record(number=number, arch_id=spec.id, arch=spec.to_json(), seed=number))
    light, whole = TrialStore(tmp_path, arches=False), TrialStore(tmp_path)
    assert {r.arch for r in light.records()} == {""}
    assert [r.model_copy(update={"arch": ""}) for r in whole.records()] == light.records()
    assert light.arch_texts([b2.id, "0" * 12]) == {b2.id: b2.to_json()}
    assert light.arch_texts([]) == {}
    light.journal.unlink()
    with pytest.raises(StoreError, match="cannot read"):
        light.arch_texts([b1.id])
