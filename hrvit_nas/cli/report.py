"""`hrvit-report`: a page of runs, a drawing of architectures, or the page of a run that goes on."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import run_app
from .hints import HINTS
from .options import is_given

if TYPE_CHECKING:
    from ..arch import Arch

NAME = "hrvit-report"
PAGE_NAME, DRAWING_NAME = "report.html", "architecture.svg"
EXAMPLES = """\b
Examples:
  hrvit-report runs/heterogeneous_branches-20260101-120000
  hrvit-report runs/nsga2-s0 runs/nsga2-s1 runs/random-s0 runs/random-s1 --output compare.html
  hrvit-report --watch runs/heterogeneous_branches-20260101-120000
  hrvit-report --arch hrvit_b1 --output b1.svg
  hrvit-report --arch hrvit_b1 --arch runs/heterogeneous_branches-20260101-120000 --output both.png
  hrvit-report --arch runs/heterogeneous_branches-20260101-120000:0123456789ab
"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(epilog=EXAMPLES)
def report(
    context: typer.Context,
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run directories of hrvit-search or hrvit-ablate.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write: .html; with --arch .svg, .png or .pdf. Default: report.html in the"
            " run directory, or here for several; with --arch architecture.svg here."
        ),
    ] = None,
    arch: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw an architecture instead: a preset, a .json file, an ArchSpec as JSON, a run"
            " directory (the best architecture of its frontier), RUN:ID, or an id of a run that is"
            " named too. Twice: both, and their difference."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Serve the page on localhost, refreshing while the runs go on, until Ctrl-C.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for --watch; 0 = any that is free.")
    ] = 0,
) -> int:
    """Shows runs as one HTML page that needs no network, or draws architectures.

    The page holds frontiers with intervals over seeds, hypervolume over evaluations and compute,
    genes with brushing and importance, allocation over branches, learning curves, ranking
    consistency of a supernet, ablations, and every frontier architecture with its drawing
    and its ArchSpec to copy. The runs are only read, and may still go on.
    """
    directories = runs or []
    if arch:
        _refuse(context, ("watch", "port"), "--arch")
        return _draw(arch, directories, output or Path(DRAWING_NAME))
    if not directories:
        raise _usage("name a run directory, or an architecture with --arch")
    if watch:
        _refuse(context, ("output",), "--watch")
        return _serve(directories, port)
    _refuse(context, ("port",), "a page that is not served; it needs --watch")
    default = directories[0] / PAGE_NAME if len(directories) == 1 else Path(PAGE_NAME)
    return _write(directories, output or default)


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


def _usage(message: str) -> ValueError:
    from ..report import ReportError

    return ReportError(message)


def _refuse(context: typer.Context, names: tuple[str, ...], what: str) -> None:
    """Refuses options that would be ignored."""
    for name in names:
        if is_given(context, name):
            raise _usage(f"--{name} has no meaning with {what}; drop it")


def _write(directories: list[Path], output: Path) -> int:
    if output.suffix.lower() not in (".html", ".htm"):
        raise _usage(f"a page's file must end in .html, got {output.name!r}")
    from ..report.page import build_page
    from ..report.run import load_run
    from ..results import write_text
    from ..search.stored import read_config

    if len(directories) > 1:  # so that the last is not refused after the first was told of
        for directory in directories:
            read_config(directory)
    loaded = []
    for directory in directories:
        loaded.append(load_run(directory))
        count = len(loaded[-1].records)
        _progress(f"{directory}: {count:,} trial{'' if count == 1 else 's'}")
    gc.freeze()  # what was read is needed to the end; searching it for garbage takes seconds
    page = build_page(loaded, hints=HINTS)
    write_text(output, page)
    print(f"{output} ({len(page.encode()) / 2**20:.1f} MiB); it opens in any browser")
    return 0


def _draw(names: list[str], directories: list[Path], output: Path) -> int:
    from ..arch import ArchSpec
    from ..report.drawing import difference_data, draw_architectures, drawing_data

    found = [_find(name, directories) for name in names]
    specs = [spec for spec, _ in found]
    titles = [
        name if is_preset else spec.id for name, (spec, is_preset) in zip(names, found, strict=True)
    ]
    panels = [drawing_data(spec, title) for spec, title in zip(specs, titles, strict=True)]
    if len(specs) == 2:
        first, second = specs
        if isinstance(first, ArchSpec) and isinstance(second, ArchSpec):
            panels.append(difference_data(first, second, (titles[0], titles[1])))
        else:
            _progress("a difference is drawn between two HRViTs only")
    draw_architectures(panels, output)
    print(output)
    return 0


def _find(name: str, directories: list[Path]) -> tuple[Arch, bool]:
    """The architecture of a name, and whether it is a preset."""
    from ..arch import parse_arch
    from ..results import TrialStore
    from ..search.named_arch import find_arch

    if name.lstrip().startswith("{"):
        return parse_arch(name), False
    if _is_id(name) and not Path(name).exists():
        for directory in directories:
            texts = TrialStore(directory, arches=False).arch_texts([name])
            if name in texts:
                return parse_arch(texts[name]), False
        where = ", ".join(map(str, directories))
        raise _usage(
            f"no trial of an architecture {name!r} in {where}"
            if directories
            else f"to draw the architecture {name!r}, name its run too: RUN --arch {name}, or"
            f" --arch RUN:{name}"
        )
    return find_arch(name)


def _is_id(name: str) -> bool:
    return len(name) == 12 and all(digit in "0123456789abcdef" for digit in name)


def _serve(directories: list[Path], port: int) -> int:
    from ..report.page.live import LOCAL, LivePage, PortError, make_server

    page = LivePage(directories, HINTS)
    page.content()  # a run that cannot be read is told at once
    try:
        server = make_server(page, port)
    except PortError as error:
        raise _usage(f"{error}; name another with --port") from error
    with server:
        print(f"http://{LOCAL}:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def _progress(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
