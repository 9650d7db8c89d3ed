"""Files of tensors: read as they were written, or not at all."""

from __future__ import annotations

import errno
import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from .._messages import one_line

LONGEST_REASON = 100
OF_THE_MACHINE = {
    *(errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
}
"""Errors that say nothing of a file; others come of a torn one, where torch seeks in it."""


class DamagedFileError(ValueError):
    """A file of tensors cannot be read; the message says why, and leaves the name to the caller."""


def read_tensors(path: Path) -> Any:
    """Tensors and plain data that `torch.save` wrote, on the CPU; nothing in the file is executed.

    Each part of such a file has a checksum, at which torch itself does not look: a flipped bit
    would be another weight. Files of the format before PyTorch 1.6 have none.

    Raises:
        DamagedFileError: It is no such file, or it is damaged.
        OSError, MemoryError: The machine is at fault, not the file.
    """
    path.open("rb").close()  # zipfile takes what cannot be opened for no zip file
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if (name := file.testzip()) is not None:
                    raise DamagedFileError(f"{name} in it is not what was written")
        with warnings.catch_warnings():  # of pickles by others, which are refused anyway
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (DamagedFileError, MemoryError):
        raise
    except Exception as error:  # a broken file fails in many ways inside torch and zipfile
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise
        raise DamagedFileError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Why a file was not read; torch's words tell how to execute what is in it."""
    if foreign := re.search(r"Unsupported global: GLOBAL (\S+)", str(error)):
        return f"it holds {foreign[1]}, and nothing but tensors and plain data is loaded"
    torn = isinstance(error, pickle.UnpicklingError | OSError | EOFError)
    if torn or "reading zip archive" in str(error):
        return "it is no file of tensors, or one that was cut short"
    return one_line(str(error) or repr(error), LONGEST_REASON)
