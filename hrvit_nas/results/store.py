"""The store of a run's trials: a durable journal to append to, and a table to analyse.

`trials.jsonl` is the truth: one record a line, each with its schema version and a checksum, synced
to disk before `append` returns. `trials.parquet` is written from it, with units in its metadata.

The checksum of a line is the last key of its object, `"crc32":N`: the CRC-32 (zlib) of all bytes
before the comma that this key follows. A flipped bit anywhere in a line is thus noticed.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, ValidationError
from pydantic_core import from_json

from .._messages import first_fault, one_line, shown
from .files import replacing, sync_folder
from .records import (
    SCHEMA,
    SCHEMA_VERSION,
    SEALED_FROM,
    HistoryPoint,
    TrialKey,
    TrialRecord,
    upgraded,
)

if TYPE_CHECKING:
    import pandas as pd

JOURNAL_NAME = "trials.jsonl"
TABLE_NAME = "trials.parquet"

_ID_KEY, _ID_LENGTH = b'"arch_id":"', 12
_SEAL = re.compile(rb',"crc32":(\d{1,10})\}\n')
_SEAL_KEY, _SEAL_LENGTH = b',"crc32":', len(b',"crc32":4294967295}\n')
_REMEDY = "remove that line, and the table {} beside it: its trial is then trained again"
_KEY_COLUMNS = ("number", "arch_id", "seed", "finished_at")
_NO_LOCKS = {errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}

_log = logging.getLogger(__name__)


class StoreError(ValueError):
    """A store cannot be opened, read or written; the message names the file and the line."""


class TrialStore:
    """The trials of one run directory, in the order in which they ended.

    Reading needs no lock, so a report may look at a run that is going on. Writing takes an
    exclusive lock, held until `close` or until the process ends, however it ends. A last line
    without its newline is what a crash left of an append: it is dropped with a warning, and
    opening for writing removes it from the file.

    Args:
        run_dir: The run directory; opening for writing creates it.
        write: Whether trials will be appended.
        arches: Whether records hold the text of their architecture, half of the memory that a
            large run takes. Without it `arch` is empty, and `arch_texts` reads what is wanted.

    Attributes:
        num_replaced: How many records of failed trials have given way to what came of them.

    Raises:
        StoreError: Another process is writing; there is nothing to read; a line is damaged or
            has a newer schema version; or the file system refuses.
    """

    def __init__(self, run_dir: str | Path, *, write: bool = False, arches: bool = True) -> None:
        self.run_dir = Path(run_dir)
        self.journal = self.run_dir / JOURNAL_NAME
        self._arches = arches
        self._records: list[TrialRecord] = []
        self._failed: dict[tuple[int, TrialKey], TrialRecord] = {}
        self.num_replaced = 0
        self._descriptor: int | None = None
        try:
            if write:
                self._descriptor = self._open_locked()
            self._size = self._load()
            if self._descriptor is not None:
                os.ftruncate(self._descriptor, self._size)
        except OSError as error:
            self.close()
            raise StoreError(f"cannot open {self.journal}: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    @property
    def writes(self) -> bool:
        """Whether it is open for writing."""
        return self._descriptor is not None

    def append(self, record: TrialRecord) -> None:
        """Adds a record, in a time that does not grow; it is on disk when this returns.

        Raises:
            StoreError: The store is not open for writing, or the disk refuses; in the latter
                case the journal stays as it was.
        """
        if self._descriptor is None:
            raise StoreError(
                f"{self.journal} is open for reading only; open it with TrialStore(..., write=True)"
            )
        line = journal_line(record)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise StoreError(f"cannot write {self.journal}: {error.strerror}") from error
        self._size += len(line)
        self._add(record)

    def _add(self, record: TrialRecord) -> None:
        """Takes a record; what comes of a failed trial that is tried again stands in its place."""
        which = record.number, record.key
        if (failed := self._failed.pop(which, None)) is not None:
            self._records = [one for one in self._records if one is not failed]
            self.num_replaced += 1
        if record.state == "failed":
            self._failed[which] = record
        self._records.append(record)

    def records(self) -> list[TrialRecord]:
        """The records, in the order in which they were appended; of a trial that was tried again,
        the last.
        """
        return list(self._records)

    def arch_texts(self, arch_ids: Iterable[str]) -> dict[str, str]:
        """Canonical JSON of some architectures, by id, from the journal.

        Args:
            arch_ids: Of the architectures; those that have no trial are left out.

        Raises:
            StoreError: The journal cannot be read, or is damaged.
        """
        wanted = set(arch_ids)
        texts: dict[str, str] = {}
        try:
            with self.journal.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not wanted:
                        break
                    # What a line says of its id is found without reading the rest of it.
                    start = line.find(_ID_KEY) + len(_ID_KEY)
                    arch_id = line[start : start + _ID_LENGTH].decode("ascii", "replace")
                    if arch_id in wanted and line.endswith(b"\n"):
                        texts[arch_id] = self._parsed(line, number).arch
                        wanted.discard(arch_id)
        except OSError as error:
            raise StoreError(f"cannot read {self.journal}: {error.strerror}") from error
        return texts

    def completed(self) -> set[TrialKey]:
        """Keys of all complete trials: what need not be trained or scored again."""
        return {record.key for record in self._records if record.state == "complete"}

    def to_frame(self) -> pd.DataFrame:
        """The records by number, with the columns of `SCHEMA`; what is missing is NaN."""
        frame: pd.DataFrame = _to_table(self._records).to_pandas()
        return frame

    def write_parquet(self) -> Path:
        """Writes `trials.parquet` from the records, by number, replacing an older one in one step.

        Every column carries `unit` and `description` in its metadata; the file's metadata
        holds `schema_version`.

        Returns:
            The path written.

        Raises:
            StoreError: The file system refuses.
        """
        from pyarrow import parquet  # type: ignore[import-untyped]

        path = self.run_dir / TABLE_NAME
        try:
            with replacing(path) as temporary:
                table = _to_table(self._records)
                parquet.write_table(table, temporary, compression="zstd", write_page_checksum=True)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
        return path

    def rows_in_table(self) -> int:
        """Trials in `trials.parquet`, 0 without one; never more than in a journal that is whole.

        Raises:
            StoreError: The table cannot be read.
        """
        from pyarrow import parquet

        path = self.run_dir / TABLE_NAME
        try:
            if not path.exists():
                return 0
            rows = int(parquet.read_metadata(path).num_rows)
            if rows > len(self._records):  # so its foot says, which may itself be damaged
                columns = parquet.read_table(path, page_checksum_verification=True)
                rows = len(set(zip(*map(columns.column, _KEY_COLUMNS), strict=True)))
        except Exception as error:  # a broken table fails in many ways inside pyarrow
            raise StoreError(f"cannot read {path}: {one_line(str(error), 100)}") from error
        return rows

    def close(self) -> None:
        """Lets go of the lock; the records stay readable. Closing twice is allowed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> TrialStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _open_locked(self) -> int:
        self.run_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            # flock, not lockf: the latter is lost when this process closes any copy of the file.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(
                f"{self.journal} is being written by another process; is a search still"
                " running in this directory? Wait for it or stop it first"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            _log.warning(
                "%s: this file system has no locks, so nothing keeps a second process from"
                " writing here too",
                self.journal,
            )
        sync_folder(self.run_dir)
        return descriptor

    def _load(self) -> int:
        """Reads the journal; returns the number of bytes that whole lines take."""
        size = 0
        arches: dict[str, str] = {}
        fields = set(TrialRecord.model_fields)
        records = []
        with self.journal.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    _log.warning(
                        "%s: line %d is unfinished (a write was interrupted); dropped",
                        self.journal,
                        number,
                    )
                    break
                size += len(line)
                record = self._parsed(line, number, arches=self._arches)
                # Seeds of one architecture share one copy of its text, and all records one note of
                # which fields were given, which would take half of a record without text.
                shared = arches.setdefault(record.arch, record.arch)
                if shared is not record.arch:
                    record = record.model_copy(update={"arch": shared})
                object.__setattr__(record, "__pydantic_fields_set__", fields)
                records.append(record)
        for record in _with_budgets(records):
            self._add(record)
        return size

    def _parsed(self, line: bytes, number: int, *, arches: bool = True) -> TrialRecord:
        try:
            return _parse(line, arches=arches)
        except StoreError as error:
            raise StoreError(f"{self.journal}, line {number} {error}") from error


def journal_line(record: TrialRecord) -> bytes:
    """A record as the journal holds it, with its checksum."""
    data = {"schema_version": SCHEMA_VERSION, **record.model_dump(mode="json")}
    return sealed(json.dumps(data, separators=(",", ":"), allow_nan=False).encode())


def sealed(text: bytes) -> bytes:
    """The line of a JSON object that holds something, with its checksum as the last key."""
    body = text.removesuffix(b"}")
    return b'%b,"crc32":%d}\n' % (body, zlib.crc32(body))


def _check_seal(line: bytes) -> bool:
    """Whether a line has a checksum; one that is not its own is refused."""
    end = line.rfind(_SEAL_KEY, -_SEAL_LENGTH)
    found = None if end < 0 else _SEAL.fullmatch(line, end)
    if found is not None and int(found[1]) != zlib.crc32(memoryview(line)[:end]):
        raise StoreError(f"is damaged: its content is not that of its checksum; {_remedy()}")
    return found is not None


def _remedy() -> str:
    return _REMEDY.format(TABLE_NAME)


def _parse(line: bytes, *, arches: bool = True) -> TrialRecord:
    has_seal = _check_seal(line)
    try:
        data = from_json(line)
    except ValueError as error:
        raise StoreError(f"is damaged: {one_line(str(error), 60)}; {_remedy()}") from error
    if not isinstance(data, dict):
        raise StoreError(f"must be a JSON object, got {type(data).__name__}; {_remedy()}")
    version = data.pop("schema_version", None)
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"has schema version {shown(version)}, this program reads 1 to {SCHEMA_VERSION};"
            f" a newer hrvit_nas may have written it; if none has, {_remedy()}"
        )
    if version >= SEALED_FROM and not has_seal:
        raise StoreError(f"is damaged: it has no checksum; {_remedy()}")
    if has_seal:
        data.pop("crc32", None)
    if not arches and isinstance(data.get("arch"), str):
        data["arch"] = ""
    data = upgraded(data, version)
    try:
        return TrialRecord.model_validate(data)
    except ValidationError as error:
        raise StoreError(f"is damaged: {one_line(first_fault(error), 100)}; {_remedy()}") from error


def _with_budgets(records: list[TrialRecord]) -> list[TrialRecord]:
    """Gives failed trials of earlier schemas the budget that others of their kind had."""
    known = [(record.evaluator, record.budget) for record in records if record.budget]
    if len(known) == len(records):
        return records
    least = {evaluator: min(b for e, b in known if e == evaluator) for evaluator, _ in known}
    return [
        record
        if record.budget or record.state == "complete"
        else record.model_copy(update={"budget": least.get(record.evaluator, 0)})
        for record in records
    ]


def _to_table(records: Iterable[TrialRecord]) -> Any:
    """The records as a pyarrow table whose fields and schema carry the metadata."""
    import pyarrow as pa

    scores = [(name, pa.float64()) for name in HistoryPoint._fields[1:]]
    history = pa.list_(pa.struct([("step", pa.int64()), *scores]))
    kinds: dict[Any, Any] = {
        bool: pa.bool_(),
        int: pa.int64(),
        float: pa.float64(),
        int | None: pa.int64(),
        float | None: pa.float64(),
        AwareDatetime: pa.timestamp("us", tz="UTC"),
        tuple[HistoryPoint, ...]: history,
    }
    records = sorted(records, key=lambda record: record.number)
    fields, columns = [], []
    for name, column in SCHEMA.items():
        kind = kinds.get(TrialRecord.model_fields[name].annotation, pa.string())
        values: list[Any] = [getattr(record, name) for record in records]
        if kind is history:
            values = [[point._asdict() for point in points] for points in values]
        metadata = {"unit": column.unit, "description": column.description}
        fields.append(pa.field(name, kind, metadata=metadata))
        columns.append(pa.array(values, type=kind))
    schema = pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION)})
    return pa.Table.from_arrays(columns, schema=schema)
