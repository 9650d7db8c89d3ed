"""`hrvit-export`: a trained network as ONNX, as a torch.export program, or as a folder to share."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import NOTHING_TRAINED, run_app
from .options import is_given

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from ..models import Network

NAME = "hrvit-export"
WRONG = NOTHING_TRAINED
"""Status where a program does not compute what its network does."""
EXAMPLES = """\b
Examples:
  hrvit-export runs/heterogeneous_branches-20260101-120000 --output network.onnx
  hrvit-export runs/nsga2-s0:0123456789ab --normalise --output network.onnx
  hrvit-export runs/nsga2-s0/checkpoints/0123456789ab-s0-300.pt --format pretrained --output network
  hrvit-export network --format onnx --format exported
  hrvit-export network --size 512x1024 --output fixed.onnx
"""


class Format(StrEnum):
    """What a network is written as."""

    ONNX = "onnx"
    EXPORTED = "exported"
    PRETRAINED = "pretrained"


SUFFIXES = {Format.ONNX: ".onnx", Format.EXPORTED: ".pt2", Format.PRETRAINED: ""}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
def export(
    context: typer.Context,
    network: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A folder that save_pretrained wrote; a file of a run's checkpoints; a run"
            " directory (the best architecture of its frontier); or RUN:ID.",
            show_default=False,
        ),
    ],
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            help="onnx: a file for ONNX runtimes. exported: a torch.export program (.pt2)."
            " pretrained: a folder for from_pretrained and the Hugging Face Hub. May be given"
            " several times. Default: onnx.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File or folder to write; of several formats, the name to which .onnx and .pt2 are"
            " added. Default: the id of the architecture, here."
        ),
    ] = None,
    normalise: Annotated[
        bool,
        typer.Option(
            "--normalise",
            help="Put normalisation inside: the program takes float32 images of 0..255.",
        ),
    ] = False,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of all images; others are then refused. Default: any.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check/--no-check",
            help="Run the program beside the network at three sizes, and write nothing where they"
            " differ by more than 1e-4.",
        ),
    ] = True,
) -> int:
    """Writes a trained network for use outside of this program.

    A program takes any batch, and images of any height and width of at least 32, also such that 32
    does not divide. Tracing takes a minute or more for a network of full depth.
    """
    wanted = list(dict.fromkeys(formats or [Format.ONNX]))
    fixed = _parse_size(size)
    if wanted == [Format.PRETRAINED]:
        for name in ("normalise", "size", "check"):
            if is_given(context, name):
                raise _usage(f"--{name} has no meaning with --format pretrained; drop it")
    for one in wanted:
        if output is not None and len(wanted) == 1 and output.suffix != SUFFIXES[one]:
            ending = f"end in {SUFFIXES[one]}" if SUFFIXES[one] else "have no ending, as a folder"
            raise _usage(f"--output must {ending} for --format {one.value}, got {output.name!r}")
    from ..search.kept import load_network

    model = load_network(network)
    base = output or Path(model.spec.id)
    paths = {
        one: base if len(wanted) == 1 and output else Path(f"{base}{SUFFIXES[one]}")
        for one in wanted
    }
    for one, path in paths.items():
        if path.is_dir() != (one is Format.PRETRAINED) and path.exists():
            raise _usage(f"{path} is there already, and is not what --format {one.value} writes")
        if not path.parent.is_dir():
            raise _usage(f"no folder {path.parent} to write {path.name} into")
    if Format.PRETRAINED in paths:
        model.save_pretrained(paths[Format.PRETRAINED])
        print(f"{paths[Format.PRETRAINED]}: for hrvit_nas.from_pretrained")
    programs = {one: path for one, path in paths.items() if SUFFIXES[one]}
    return _write_programs(model, programs, normalise, fixed, check) if programs else 0


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


def _usage(message: str) -> ValueError:
    return ValueError(message)


def _parse_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if found is None:
        raise _usage(f"--size must be height and width, such as 512x1024, got {text!r}")
    return int(found[1]), int(found[2])


def _write_programs(
    model: Network,
    paths: dict[Format, Path],
    normalise: bool,
    size: tuple[int, int] | None,
    check: bool,
) -> int:
    from ..models.exporting import export_program, require_onnx
    from ..results.files import replacing

    if Format.ONNX in paths:
        require_onnx(run=check)
    print(f"tracing {model.spec.id}", file=sys.stderr)
    program = export_program(model, normalise=normalise, size=size)
    try:
        for one, path in paths.items():
            with replacing(path) as temporary:
                _write(one, program, temporary, model, normalise)
                if check:
                    _check(one, temporary, model, normalise, size)
            print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")
    except _DiffersError as error:
        print(f"{NAME}: {error}; {path} is not written", file=sys.stderr)
        return WRONG
    return 0


class _DiffersError(Exception):
    """A program does not compute what its network does."""


def _write(
    one: Format, program: ExportedProgram, path: Path, model: Network, normalise: bool
) -> None:
    if one is Format.ONNX:
        from ..models.exporting import write_onnx

        return write_onnx(program, path, model, normalised=normalise)
    import torch

    with path.open("wb") as file:
        torch.export.save(program, file)


def _check(
    one: Format, path: Path, model: Network, normalise: bool, size: tuple[int, int] | None
) -> None:
    from ..models.exporting import (
        CHECKED_SIZES,
        TOLERANCE,
        ExportError,
        differences,
        onnx_runner,
        program_runner,
    )

    run = onnx_runner(path) if one is Format.ONNX else program_runner(path)
    sizes = (size,) * 2 if size else CHECKED_SIZES
    try:
        found = differences(run, model, normalised=normalise, sizes=sizes)
    except ExportError as error:
        raise _DiffersError(str(error)) from error
    for (height, width), difference in zip(sizes, found, strict=True):
        print(f"  {one.value} at {height}x{width}: differs by {difference:.1e} at most")
    # Not "above": what is no number is no agreement.
    if not all(difference <= TOLERANCE for difference in found):
        raise _DiffersError(f"the program differs from its network by more than {TOLERANCE:g}")


if __name__ == "__main__":
    main()
