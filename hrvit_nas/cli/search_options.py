"""What `hrvit-search` can be asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .._names import SELECTORS
from ..objectives import COSTS
from ..samplers.base import SAMPLERS
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
  hrvit-search --space heterogeneous_branches
  hrvit-search --space heterogeneous_branches --data camvid --data-root DIR --trials 24 --confirm 3
  hrvit-search --space joint --profile cluster --data cityscapes --data-root DIR --address auto
  hrvit-search --space heterogeneous_branches --initial hrvit_b1 --confirm 3
  hrvit-search --space heterogeneous_branches --calibrate-proxy 12 --long-steps 600
  hrvit-search --space heterogeneous_branches --strategy supernet --ranking-check 6
  hrvit-search --space joint --strategy supernet --supernet runs/joint-1/supernet.pt --trials 500
  hrvit-search --space heterogeneous_branches --scheduler mo_asha --max-t 600 --trials 18
  hrvit-search --space heterogeneous_branches --references hrvit_b1,mit_b0,cswin_ti --confirm 3
  hrvit-search --latency-table latency.json --cost predicted_latency_ms --max-latency 12
  hrvit-search --space heterogeneous_branches --mlflow sqlite:///mlflow.db
  hrvit-search --space heterogeneous_branches --data none --objective-noise 0.01 --trials 200
  hrvit-search --resume runs/heterogeneous_branches-20260101-120000 --confirm 3
"""


class Sampler(StrEnum):
    """What can propose architectures."""

    vars().update({name.upper(): name for name in SAMPLERS})


class Cost(StrEnum):
    """What a score can be weighed against."""

    vars().update({name.upper(): name for name in COSTS})


class Scheduler(StrEnum):
    """What pauses trainings, and goes on with the best."""

    FIFO = "fifo"
    MO_ASHA = "mo_asha"


class Selector(StrEnum):
    """What orders architectures of which none dominates another."""

    vars().update({name.upper(): name for name in SELECTORS})


class Strategy(StrEnum):
    """Ways to score what is proposed."""

    TRIALS = "trials"
    SUPERNET = "supernet"


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Options of `hrvit-search`."""

    space: Annotated[
        str, typer.Option(help="Name of a declared space, or path of a YAML file.")
    ] = "heterogeneous_branches"
    profile: Annotated[
        str | None,
        typer.Option(
            help="What the search is fitted to: laptop, cluster, or a path."
            " Default: laptop; cluster for a data set on a machine with a GPU."
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
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="trials: train each architecture alone. supernet: train one supernet, score"
            " architectures with its weights, and train the best alone."
        ),
    ] = Strategy.TRIALS
    trials: Annotated[
        int | None,
        typer.Option(
            help="Architectures to train, or with a supernet to score. Default: the profile's."
        ),
    ] = None
    supernet: Annotated[
        Path | None,
        typer.Option(help="A trained supernet of the same space (RUN/supernet.pt) to use."),
    ] = None
    supernet_steps: Annotated[
        int | None, typer.Option(help="Training steps of the supernet. Default: the recipe's.")
    ] = None
    retrain: Annotated[
        int | None,
        typer.Option(help="Of the scored, how many of the best to train alone. Default: 4."),
    ] = None
    ranking_check: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Also score so many subnets, spread over the cost range, with inherited weights"
            " and train them alone with several seeds, to tell how far the former rank as the"
            " latter do.",
        ),
    ] = None
    sampler: Annotated[
        Sampler | None,
        typer.Option(
            help="What proposes architectures. Default: ehvi; nsga2 for a supernet, a measured"
            " cost, or --deterministic."
        ),
    ] = None
    population: Annotated[
        int | None,
        typer.Option(
            help="Architectures of the first generation, and of NSGA-II's others. Default: a"
            " quarter of the trials, and at most 6 for tpe, gp and ehvi."
        ),
    ] = None
    scheduler: Annotated[
        Scheduler,
        typer.Option(
            help="fifo: train each architecture through. mo_asha: asynchronous successive halving"
            " with several objectives; of the architectures paused on a rung the best go on."
        ),
    ] = Scheduler.FIFO
    grace_period: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Steps of the lowest rung of mo_asha. Default: the first at which scores rank as"
            " long training does, where a table of long training tells; else the highest's, by the"
            " reduction factor.",
        ),
    ] = None
    reduction_factor: Annotated[
        int | None,
        typer.Option(
            min=2, help="Of the architectures on a rung, one in so many goes on. Default: 3."
        ),
    ] = None
    max_t: Annotated[
        int | None,
        typer.Option(min=2, help="Steps of the highest rung of mo_asha. Default: the recipe's."),
    ] = None
    mo_selector: Annotated[
        Selector | None,
        typer.Option(
            help="What orders architectures of which none dominates another. Default: epsnet."
        ),
    ] = None
    cost: Annotated[
        list[Cost] | None,
        typer.Option(
            metavar=f"<{'|'.join(COSTS)}>",
            help="What is minimised beside the score; given twice, both are. Default: macs.",
        ),
    ] = None
    max_macs: Annotated[
        float | None, typer.Option(help="Ceiling of multiply-adds at the image size.")
    ] = None
    max_params: Annotated[float | None, typer.Option(help="Ceiling of parameters.")] = None
    max_activation_bytes: Annotated[
        float | None, typer.Option(help="Ceiling of peak activation bytes at the image size.")
    ] = None
    max_latency: Annotated[
        float | None,
        typer.Option(help="Ceiling of predicted latency, in ms; needs --latency-table."),
    ] = None
    latency_table: Annotated[
        Path | None,
        typer.Option(
            help="Table of `hrvit-latency measure`, at the search's image size and classes, for"
            " --cost predicted_latency_ms and --max-latency. The run keeps what it says."
        ),
    ] = None
    seed: Annotated[int, typer.Option(help="Seed of proposals and of training.")] = 0
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic",
            help="The same seed gives the same trials on a CPU, whatever the number of workers, and"
            " interrupted or not. For --sampler nsga2, whose generations then wait for each other,"
            " and random.",
        ),
    ] = False
    references: Annotated[
        str | None,
        typer.Option(
            help="Architectures, separated by commas, to train beside the frontier, each scaled to"
            " the costs there: hrvit_b1 to b3, hrnet_cswin, mit_b0 to b4 (these need the extra"
            " `baselines`), cswin_ti, cswin_t, cswin_s. Default: hrvit_b1."
        ),
    ] = None
    initial: Annotated[
        str | None,
        typer.Option(
            help="Architectures, separated by commas, whose allocation is among the first"
            " proposals, at costs evenly over the space's range: hrvit_b1 to b3. Default: none."
        ),
    ] = None
    confirm: Annotated[
        int | None,
        typer.Option(
            help="Train the frontier and the references with so many further seeds, by"
            " the recipe's long form. Default: 0."
        ),
    ] = None
    finalists: Annotated[
        int | None,
        typer.Option(
            help="How many frontier architectures to confirm: those that dominate most between"
            " them. Default: all."
        ),
    ] = None
    long_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps of long training: of what confirms, or with --calibrate-proxy of each"
            " architecture, to tell how far the recipe's scores rank as long training does."
            " Default: the recipe's for --confirm, unless --steps is given. 0: none; what confirms"
            " is trained as the search trains."
        ),
    ] = None
    calibrate_proxy: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Instead of searching, measure how far the recipe's scores can be trusted: train"
            " so many architectures, spread over the cost range, with several seeds each.",
        ),
    ] = None
    calibration_seeds: Annotated[
        int | None,
        typer.Option(
            help="Seeds of each architecture of a calibration or ranking check. Default: 2."
        ),
    ] = None
    wanted_tau: Annotated[
        float | None,
        typer.Option(
            help="Kendall's tau between two seeds that a calibration looks for. Default: 0.7."
        ),
    ] = None
    calibration: Annotated[
        Path | None,
        typer.Option(
            help="Run directory of the calibration that this search stands on; it must be of the"
            " same space, data and recipe."
        ),
    ] = None
    executor: ExecutorOption = None
    workers: WorkersOption = None
    cpus_per_trial: CpusPerTrialOption = None
    gpus_per_trial: GpusPerTrialOption = None
    address: AddressOption = None
    max_retries: MaxRetriesOption = None
    storage: Annotated[
        str | None, typer.Option(help="Optuna storage URL. Default: SQLite in the run directory.")
    ] = None
    mlflow: MlflowOption = None
    output: Annotated[
        Path | None, typer.Option(help="Run directory. Default: runs/SPACE-DATE-TIME.")
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Continue the run in this directory. Only --trials, --confirm, --finalists,"
            " --retrain, --ranking-check, --calibration, --calibration-seeds, --wanted-tau,"
            " --mlflow, --executor, --workers, --cpus-per-trial, --gpus-per-trial, --address and"
            " --max-retries may be given with it."
        ),
    ] = None
