"""Shows an ablation again from its run directory, also while it goes on or by another score.

python analysis/ablation.py RUN_DIR [--criterion miou|cross_entropy] [--output FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hrvit_nas.report.plots import draw_figure
from hrvit_nas.report.render import markdown
from hrvit_nas.report.section import sentences
from hrvit_nas.report.sections.ablation import ablation
from hrvit_nas.results import TrialStore
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.ablation_results import found
from hrvit_nas.search.stored import read_config

CRITERIA = ("miou", "cross_entropy")


def main(arguments: list[str] | None = None) -> None:
    """Prints the table as Markdown and draws the forest plot; bad input is one line, status 2."""
    parser = argparse.ArgumentParser(description="Show an ablation again.")
    parser.add_argument("run_dir", type=Path, help="directory of the run, with its trials.jsonl")
    parser.add_argument(
        "--criterion", choices=CRITERIA, default="miou", help="score to compare by (default: miou)"
    )
    parser.add_argument(
        "--output", type=Path, help="a .png, .pdf or .svg (default: ablation.png in the run)"
    )
    options = parser.parse_args(arguments)
    output = options.output or options.run_dir / "ablation.png"
    try:
        config = read_config(options.run_dir, AblationConfig)
        records = TrialStore(options.run_dir).records()
        section = ablation(found(options.run_dir, config, records, options.criterion), config)
        draw_figure(section.figures[0].data, output)
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
    except ValueError as error:
        fail(str(error))
    print(markdown(section.grids[0], sentences(section.findings, {})), end="")


def fail(message: str) -> None:
    """Ends the script with one line."""
    print(f"ablation: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
