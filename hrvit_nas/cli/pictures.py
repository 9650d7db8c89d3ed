"""Images that commands read, and pictures that they write."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..data.layouts.pairing import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from PIL import Image

Named = tuple[Path, PurePath]
"""A file, and its path below the folder that was asked for."""


def images_of(paths: Sequence[Path], output: Path) -> list[Named]:
    """The images that were asked for: files, and all in folders and those below.

    Each file once; hidden ones, and what lies in the folder that is written to, are left out.

    Raises:
        ValueError: There is nothing at a path, or no image.
    """
    found: dict[Path, Named] = {}
    out = output.resolve()
    for path in paths:
        inside: list[Named]
        if path.is_dir():
            inside = [
                (file, file.relative_to(path))
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in IMAGE_SUFFIXES and out not in file.resolve().parents
            ]
            inside = [
                (file, name)
                for file, name in inside
                if not any(part.startswith(".") for part in name.parts) and file.is_file()
            ]
            if not inside:
                raise ValueError(f"folder {path} holds no {', '.join(IMAGE_SUFFIXES)} image")
        elif path.exists():
            inside = [(path, PurePath(path.name))]
        else:
            raise ValueError(f"no image and no folder at {path}")
        for file, name in inside:
            found.setdefault(file.resolve(), (file, name))
    return list(found.values())


def output_names(images: Sequence[Named]) -> list[str]:
    """A name of its own for what is written of each image, without its ending.

    It is the image's; of images that share one, as much of their paths as tells them apart, and the
    endings where nothing else does.
    """
    names = [name.with_suffix("").as_posix() for _, name in images]
    alike = defaultdict(list)
    for number, name in enumerate(names):
        alike[name.casefold()].append(number)
    for numbers in alike.values():
        if len(numbers) == 1:
            continue
        files = [images[number][0].absolute() for number in numbers]
        common = os.path.commonpath([file.parent for file in files])
        below = [file.relative_to(common) for file in files]
        folded = [path.with_suffix("").as_posix().casefold() for path in below]
        told = len(set(folded)) == len(folded)
        for number, path in zip(numbers, below, strict=True):
            names[number] = (path.with_suffix("") if told else path).as_posix()
    return names


def check_outputs(paths: Sequence[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    """Refuses to write a file twice, over an image that is read, or over one that is there.

    Raises:
        ValueError: One would be.
    """
    counts = Counter(str(path).casefold() for path in paths)
    if twice := [path for path in paths if counts[str(path).casefold()] > 1]:
        raise ValueError(f"two images would be written to {twice[0]}; name them in two commands")
    read = {path.resolve() for path in inputs}
    there = [path for path in paths if path.exists()]
    for path in there:
        if path.resolve() in read:
            raise ValueError(f"{path} is an image to be read; name another --output")
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ValueError(
            f"{there[0]}{more} would be replaced; allow it with --overwrite, or name another"
            " --output"
        )


def write_picture(image: Image.Image, path: Path) -> None:
    """Writes a PNG in one step; its folder is made where missing.

    Raises:
        OSError: It cannot be written.
    """
    from ..results import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        image.save(temporary, "PNG", optimize=False)


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Shows how many of something are done and the time left, on a terminal's error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
