"""What `hrvit-ablate` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    DATA_HELP,
    AddressOption,
    ClassesOption,
    CpusPerTrialOption,
    Data,
    DataRootOption,
    DelayOption,
    ExecutorOption,
    FailuresOption,
    GpusPerTrialOption,
    MaxRetriesOption,
    MlflowOption,
    NoiseOption,
    RecipeOption,
    StepsOption,
    WorkersOption,
)

EXAMPLES = """\b
Examples:
  hrvit-ablate published_components --cost-only
  hrvit-ablate published_components --cost-only --format latex
  hrvit-ablate published_components --data camvid --data-root DIR
  hrvit-ablate published_components --only des,mix_cfn --seeds 5
  hrvit-ablate components_on_searched --base runs/heterogeneous_branches-20260101-120000
  hrvit-ablate baselines --only mit_b0,cswin_ti --data camvid --data-root DIR
  hrvit-ablate published_components --cheap --supernet-steps 300
  hrvit-ablate --resume runs/published_components-20260101-120000 --seeds 5
"""


class Format(StrEnum):
    """What a table is printed as."""

    TABLE = "table"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"


class Score(StrEnum):
    """Scores that arms can be compared by."""

    MIOU = "miou"
    CROSS_ENTROPY = "cross_entropy"


@dataclass(frozen=True, kw_only=True)
class AblateOptions:
    """Options of `hrvit-ablate`."""

    plan: Annotated[
        str | None,
        typer.Argument(
            help="Name of a plan, or path of a YAML file. Shipped: published_components,"
            " strip_width, branch_allocation, components_on_searched, baselines.",
            show_default=False,
        ),
    ] = None
    cost_only: Annotated[
        bool,
        typer.Option(
            "--cost-only",
            help="Train nothing: print what each change costs at full scale, at 512x512, beside the"
            " published figures.",
        ),
    ] = False
    cheap: Annotated[
        bool,
        typer.Option(
            "--cheap",
            help="Train one supernet a seed, of which the base and all changes are subnets, and"
            " score them with its weights instead of training each alone. Without controls.",
        ),
    ] = False
    supernet_steps: Annotated[
        int | None,
        typer.Option(help="Training steps of a supernet. Default: the recipe's."),
    ] = None
    output_format: Annotated[
        Format, typer.Option("--format", help="What the table is printed as.")
    ] = Format.TABLE
    base: Annotated[
        str | None,
        typer.Option(
            help="What is changed: a preset, a .json file, a run directory (the best"
            " architecture of its frontier) or RUN:ID. Default: the plan's."
        ),
    ] = None
    only: Annotated[
        str | None, typer.Option(help="Changes to look at, separated by commas. Default: all.")
    ] = None
    seeds: Annotated[
        int | None,
        typer.Option(help="Seeds of each architecture, at least 3. Default: the plan's."),
    ] = None
    seed: Annotated[int, typer.Option(help="First seed.")] = 0
    criterion: Annotated[Score, typer.Option(help="Score that table and figure compare by.")] = (
        Score.MIOU
    )
    profile: Annotated[
        str | None,
        typer.Option(
            help="What the run is fitted to: laptop (presets at a quarter of their widths),"
            " cluster (full scale), or a path. Default: laptop; cluster for a data set on a machine"
            " with a GPU."
        ),
    ] = None
    data: Annotated[Data | None, typer.Option(help=DATA_HELP)] = None
    data_root: DataRootOption = None
    classes: ClassesOption = None
    objective_noise: NoiseOption = None
    objective_delay: DelayOption = None
    objective_failures: FailuresOption = None
    recipe: RecipeOption = None
    steps: StepsOption = None
    executor: ExecutorOption = None
    workers: WorkersOption = None
    cpus_per_trial: CpusPerTrialOption = None
    gpus_per_trial: GpusPerTrialOption = None
    address: AddressOption = None
    max_retries: MaxRetriesOption = None
    mlflow: MlflowOption = None
    output: Annotated[
        Path | None, typer.Option(help="Run directory. Default: runs/PLAN-DATE-TIME.")
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the run in this directory. Only --seeds, --criterion, --format,"
            " --mlflow, --executor, --workers, --cpus-per-trial, --gpus-per-trial, --address and"
            " --max-retries may be given with it."
        ),
    ] = None
