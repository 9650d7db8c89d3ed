"""Databases of studies: whether one is damaged, and whether one that is elsewhere answers."""

from __future__ import annotations

import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from .._messages import LONGEST_CAUSE, first_line, one_line, shown
from .base import SamplerError

_ELSEWHERE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_AUTH,
}
"""What SQLite says where the file is not at fault."""
_BESIDE = ("", "-journal", "-wal", "-shm")
ANSWER_S, PATIENCE_S = 10, 5
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


def fault_of_database(path: Path) -> str:
    """Why an SQLite database is damaged; empty where it is not, or is not there."""
    if not path.exists():
        return ""
    try:
        with closing(_connected(path)) as database:
            (found,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _ELSEWHERE:
            return ""
        return one_line(first_line(error), LONGEST_CAUSE)
    return "" if found == "ok" else one_line(found, LONGEST_CAUSE)


def can_be_written(path: Path) -> bool:
    """Whether an SQLite database can be written now: it is there, and nobody else writes it."""
    try:
        with closing(_connected(path)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) & 0xFF not in _ELSEWHERE
    return True


def set_database_aside(path: Path) -> Path:
    """Renames a database and what SQLite keeps beside it, which a new one would take for its own.

    Returns:
        What it is called now.
    """
    for end in _BESIDE:
        beside = path.with_name(f"{path.name}{end}")
        if beside.exists():
            beside.replace(path.with_name(f"{path.name}.damaged{end}"))
    return path.with_name(f"{path.name}.damaged")


def check_storage(url: str) -> None:
    """Refuses a storage that is not there, without making anything in it.

    Raises:
        SamplerError: It is no URL of a database, its driver is not installed, its folder is not
            there, or no server answers.
    """
    import sqlalchemy

    try:
        where = sqlalchemy.make_url(url)
        kind = where.get_backend_name()
        where.get_dialect()
        if kind == "sqlite":
            _check_file(where.database)
            return
        if where.host and (port := where.port or _PORTS.get(kind)):
            socket.create_connection((where.host, port), timeout=ANSWER_S).close()
        engine = sqlalchemy.create_engine(where)
        try:
            engine.connect().close()
        finally:
            engine.dispose()
    except Exception as error:  # of SQLAlchemy, of a driver, of the network
        raise unusable(url, error) from error


def unusable(url: str, error: Exception) -> SamplerError:
    """Of a storage that cannot be used, without its password."""
    named = re.sub(r"(://[^:/@]*):.*@", r"\1:***@", url)  # which may hold an @ itself
    named = re.sub(r"(password=)[^&]*", r"\1***", named, flags=re.IGNORECASE)
    # Only then is it shortened: of a password that is cut in two, half would be shown.
    reason = one_line(first_line(error).replace(url, named), LONGEST_CAUSE)
    return SamplerError(
        f"the study's storage {shown(named, 110)} cannot be used: {reason}; start or mend it, or"
        " give another"
    )


def _connected(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=PATIENCE_S)


def _check_file(name: str | None) -> None:
    if not name or name == ":memory:":
        raise ValueError("a storage in memory is lost when the run is interrupted")
    path = Path(name)
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}")
    if fault := fault_of_database(path):
        raise ValueError(fault)
