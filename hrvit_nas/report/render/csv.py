"""Records as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

from hrvit_nas import results

from ..section import Records


def write_csv(records: Records, path: str | Path) -> None:
    """Writes records to a file, replacing an older one in one step.

    Raises:
        OSError: The file cannot be written.
    """
    results.write_csv(path, records.columns, records.rows)


def print_csv(records: Records, stream: TextIO) -> None:
    """Writes records to an open stream.

    Raises:
        OSError: It takes no more.
    """
    writer = csv.DictWriter(stream, list(records.columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records.rows)
