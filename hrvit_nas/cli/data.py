"""`hrvit-data`: what a data set holds, before anything is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import run_app
from .options import ClassesOption, Data, DataRootOption
from .running import say

if TYPE_CHECKING:
    from rich.table import Table

    from ..data import DataCheck, DataConfig

NAME = "hrvit-data"
EXAMPLES = """\b
Examples:
  hrvit-data check --data camvid --data-root /data/camvid
  hrvit-data check --data cityscapes --data-root /data/cityscapes --sheet streets.png
  hrvit-data check --data folder --data-root my_photos --classes my_photos/classes.yaml
"""
SIZES_SHOWN = 3

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Data sets for semantic segmentation."""


@app.command(epilog=EXAMPLES)
def check(
    data: Annotated[Data, typer.Option(help="Data set.")],
    data_root: DataRootOption = None,
    classes: ClassesOption = None,
    sheet: Annotated[
        Path, typer.Option(help="PNG file to write: photographs beside their labels in colour.")
    ] = Path("contact_sheet.png"),
) -> int:
    """Reads every mask, shows what a data set holds, and says what looks like a mistake.

    Shows images and their sizes, the share of each class of the labelled pixels and in how many
    masks it occurs, for the training and the validation split, then a line for whatever looks like
    a mistake, with its likely cause. A file that is faulty ends it with status 2. Counts are kept:
    a run that is started on the same files later need not count them again.
    """
    from pydantic import ValidationError
    from rich.console import Console

    from .._messages import first_fault
    from ..data import DataConfig, DataError, contact_sheet, open_data

    try:
        config = DataConfig(name=data.value, root=data_root, classes=classes)
    except ValidationError as error:
        raise DataError(first_fault(error, {"root": "--data-root"})) from error
    if config.synthetic:
        raise DataError(f"--data {config.name} has no images to check")
    if sheet.suffix.lower() != ".png":
        raise DataError(f"--sheet must end in .png, got {sheet.name!r}")
    console = Console()
    found = _counted(config)
    for name in found.counts:
        say(console, _described(found, name))
    console.print(_table(found))
    for line in found.warnings:
        say(console, f"warning: {line}")
    if not found.warnings:
        say(console, "nothing looks like a mistake")
    contact_sheet(open_data(config), sheet)
    say(console, f"photographs beside their labels: {sheet}")
    return 0


def _counted(config: DataConfig) -> DataCheck:
    """Counts, with a bar on a terminal's error stream."""
    from rich.console import Console
    from rich.progress import Progress

    from ..data import check_data
    from ..data.checks import WORDS

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {name: bar.add_task(f"{word} masks", total=None) for name, word in WORDS.items()}

        def progress(name: str, done: int, total: int) -> None:
            bar.update(tasks[name], completed=done, total=total)

        return check_data(config, progress=progress)


def _described(found: DataCheck, name: str) -> str:
    """Images, sizes and ignored pixels of a split, in a line."""
    from ..data.checks import WORDS

    counts = found.counts[name]
    sizes = [
        f"{height}x{width}" + (f" ({count:,})" if len(counts.sizes) > 1 else "")
        for height, width, count in counts.sizes[:SIZES_SHOWN]
    ]
    more = len(counts.sizes) - len(sizes)
    turned = f"; {counts.turned:,} are brought upright by EXIF" if counts.turned else ""
    return (
        f"{WORDS[name]}: {counts.images:,} images with masks, {', '.join(sizes)}"
        f"{f' and {more:,} sizes more' if more else ''}{turned};"
        f" {counts.ignored:.1%} of the pixels are ignored"
    )


def _table(found: DataCheck) -> Table:
    """Share of each class, and how many masks it occurs in, by split."""
    from rich.table import Table

    from ..data.checks import WORDS

    table = Table("label", "class", box=None)
    shares = []
    for name, counts in found.counts.items():
        table.add_column(f"{WORDS[name]}: pixels", justify="right")
        table.add_column("masks", justify="right")
        shares.append((counts.shares(len(found.class_names)), counts))
    for label, name in enumerate(found.class_names):
        cells = []
        for share, counts in shares:
            seen = counts.pixels[label] > 0
            cells += [f"{share[label]:.2%}" if seen else "never", f"{counts.masks[label]:,}"]
        table.add_row(str(label), name, *cells)
    return table


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


if __name__ == "__main__":
    main()
