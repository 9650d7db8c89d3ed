"""The Hugging Face Hub, by `huggingface_hub`'s mixin.

Loaded when first asked for: the mixin's imports take as long as a tenth of torch's own, and each
worker that trains imports this package.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from .saving import CARD, CONFIG, WEIGHTS

Write = Callable[[Path], None]


class HubError(ValueError):
    """The Hub does not give a network; the message says why."""


class OnHub(ModelHubMixin, library_name="hrvit_nas"):
    """The mixin around something that writes a network's folder, its config and card among it.

    Args:
        write: Called with the folder.
    """

    def __init__(self, write: Write) -> None:
        self._write = write

    def _save_pretrained(self, save_directory: Path) -> None:
        self._write(save_directory)


def push(write: Write, repo_id: str, **options: Any) -> str:
    """Creates a repository where there is none, and uploads a network's folder in one commit.

    Args:
        write: Called with the folder to fill.
        repo_id: `OWNER/NAME`.
        **options: As `huggingface_hub.ModelHubMixin.push_to_hub` takes them: `private`, `token`,
            `branch`, `commit_message`, `create_pr` and others.

    Returns:
        URL of the commit.
    """
    return OnHub(write).push_to_hub(repo_id, **options)


def download(repo_id: str, **options: Any) -> Path:
    """Folder of a network of the Hub, in its cache; no other file is fetched.

    Args:
        repo_id: `OWNER/NAME`.
        **options: As `huggingface_hub.snapshot_download` takes them: `revision`, `token`,
            `cache_dir`, `local_files_only` and others.

    Raises:
        HubError: There is no such repository, or the Hub does not answer.
    """
    try:
        files = [CONFIG, WEIGHTS, CARD]
        return Path(snapshot_download(repo_id, allow_patterns=files, **options))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        words = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise HubError(
            f"no network at {repo_id!r}: it is no folder here, and the Hugging Face Hub does not"
            f" give it ({words})"
        ) from error
