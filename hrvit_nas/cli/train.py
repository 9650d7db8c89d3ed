"""`hrvit-train`: one architecture, from its first step to a network that can be shipped."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import run_app
from .interrupts import Interrupts
from .last_words import last_words
from .options import (
    AddressOption,
    ClassesOption,
    Data,
    DataRootOption,
    ExecutorOption,
    MlflowOption,
    given_tracking,
    option,
    takes,
)
from .running import hint_of, say

if TYPE_CHECKING:
    from rich.console import Console

    from ..search.training_config import TrainingConfig
    from ..search.training_run import Reached, TrainingRun

NAME = "hrvit-train"
EXAMPLES = """\b
Examples:
  hrvit-train --arch hrvit_b1 --recipe cityscapes_160k --data cityscapes --data-root DIR
  hrvit-train --arch runs/heterogeneous_branches-20260101-120000:0123456789ab \\
      --recipe camvid_full --data camvid --data-root DIR --workers 2
  hrvit-train --arch hrvit_b1 --width-factor 0.5 --recipe ade20k_160k --data ade20k \\
      --data-root DIR --init b1_imagenet.pth --init-part backbone
  hrvit-train --arch hrvit_b1 --recipe imagenet_300e --data imagenet --data-root DIR --workers 8
  hrvit-train --arch hrvit_b1 --recipe camvid_full --data camvid --data-root DIR \\
      --init runs/hrvit_b1-20260101-120000 --init-part backbone
  hrvit-train --resume runs/hrvit_b1-20260101-120000
"""
LINES = 20
"""Lines of progress where there is no terminal."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Part(StrEnum):
    """Which first weights are taken."""

    ALL = "all"
    BACKBONE = "backbone"


class Scale(StrEnum):
    """How the learning rate follows the batch size."""

    NONE = "none"
    LINEAR = "linear"
    SQRT = "sqrt"


@dataclass(frozen=True)
class TrainOptions:
    """Options of `hrvit-train`."""

    arch: Annotated[
        str | None,
        typer.Option(
            help="A preset, a .json file, a run directory (the best architecture of its frontier),"
            " or RUN:ID."
        ),
    ] = None
    width_factor: Annotated[
        float, typer.Option(help="Factor of all widths of a preset.", min=0.01)
    ] = 1.0
    recipe: Annotated[
        str | None, typer.Option(help="How it is trained: a name or a path. Default: by data set.")
    ] = None
    data: Annotated[Data | None, typer.Option(help="Data set. Default: scenes.")] = None
    data_root: DataRootOption = None
    classes: ClassesOption = None
    init: Annotated[
        str | None,
        typer.Option(
            help="First weights: a folder that save_pretrained wrote, RUN, RUN:ID or"
            " RUN/checkpoints/FILE.pt, a file in the published format, or the directory of a search"
            " with a supernet. With --init-part backbone also of a classifier. Default: drawn from"
            " the seed."
        ),
    ] = None
    init_part: Annotated[Part, typer.Option(help="Which of them are taken.")] = Part.ALL
    steps: Annotated[int | None, typer.Option(help="Steps. Default: the recipe's.")] = None
    batch_size: Annotated[
        int | None, typer.Option(help="Images a step, of all processes. Default: the recipe's.")
    ] = None
    scale_rate: Annotated[
        Scale, typer.Option(help="How the learning rate follows a batch size of your own.")
    ] = Scale.NONE
    drop_path_rate: Annotated[
        float | None,
        typer.Option(help="Stochastic depth of the last block. Default: the recipe's."),
    ] = None
    seed: Annotated[int, typer.Option(help="Of first weights, order and augmentation.")] = 0
    output: Annotated[
        Path | None, typer.Option(help="Its directory. Default: runs/ARCH-DATE-TIME.")
    ] = None
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the training in this directory. Besides, only --executor, --workers,"
            " --cpus-per-worker, --gpus-per-worker, --address and --mlflow may be given."
        ),
    ] = None
    executor: ExecutorOption = None
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that share each batch. Default: one a GPU, else 1."),
    ] = None
    cpus_per_worker: Annotated[
        int | None, typer.Option(help="CPU cores, and threads, of a process. Default: 1.")
    ] = None
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="GPUs of a process. Default: 1 where there are any.")
    ] = None
    address: AddressOption = None
    mlflow: MlflowOption = None


_RESOURCES = {
    "executor": "executor",
    "workers": "workers",
    "cpus_per_worker": "cpus_per_trial",
    "gpus_per_worker": "gpus_per_trial",
    "address": "address",
}
"""Fields of resources by the options that set them."""


@app.command(epilog=EXAMPLES)
@takes(TrainOptions)
def train(options: TrainOptions, given: set[str]) -> int:
    """Trains one architecture to the end, in one process or many.

    The directory holds everything; an interrupted training goes on with --resume. In the end it
    holds `model/`, as save_pretrained writes it, `curve.csv` and `scores.json`.
    """
    from rich.console import Console

    console = Console()
    return _go(_opened(options, given), console)


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


def _opened(options: TrainOptions, given: set[str]) -> TrainingRun:
    from ..search.config_parts import ConfigError
    from ..search.training_run import create_training, open_training

    chosen = {_RESOURCES[name]: _plain(getattr(options, name)) for name in given & set(_RESOURCES)}
    tracking = given_tracking(options.mlflow)
    if options.resume is not None:
        if beside := sorted(given - {"resume", "mlflow", *_RESOURCES}):
            raise ConfigError(f"{option(beside[0])} cannot be changed with --resume; drop it")
        return open_training(options.resume, chosen, tracking)
    if "init_part" in given and options.init is None:
        raise ConfigError("--init-part needs --init; drop it")
    if "scale_rate" in given and options.batch_size is None:
        raise ConfigError("--scale-rate needs --batch-size; drop it")
    config = _configured(options, chosen, tracking)
    directory = options.output or _default_directory(options.arch or "")
    return create_training(config, directory, options.init, options.init_part.value)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value


def _configured(
    options: TrainOptions, resources: dict[str, Any], tracking: dict[str, Any]
) -> TrainingConfig:
    """Architecture, recipe and options as one configuration."""
    from pydantic import ValidationError

    from .._messages import first_fault
    from ..arch import scale_widths
    from ..data import DataConfig
    from ..search.config_parts import ConfigError
    from ..search.named_arch import find_arch
    from ..search.profiles import load_profile, load_recipe
    from ..search.training_config import TrainingConfig

    if options.arch is None:
        raise ConfigError("name an architecture with --arch, or a training with --resume")
    spec, _ = find_arch(options.arch)
    if options.width_factor != 1:
        spec = scale_widths(spec, options.width_factor)
    name = (options.data or Data("scenes")).value
    recipe_name = options.recipe or load_profile("laptop").recipe_for(name)
    if recipe_name is None:
        raise ConfigError(f"no recipe for data set {name!r}; give one with --recipe")
    plan = load_recipe(recipe_name)
    changes: dict[str, Any] = {}
    if options.steps is not None:
        changes["steps"] = options.steps
        changes["warmup_steps"] = min(plan.long_recipe.warmup_steps, max(0, options.steps - 1))
        changes["evaluations"] = min(plan.long_recipe.evaluations, max(1, options.steps))
    if options.batch_size is not None:
        ratio = options.batch_size / plan.long_recipe.batch_size
        factor = {"none": 1.0, "linear": ratio, "sqrt": ratio**0.5}[options.scale_rate.value]
        changes |= {
            "batch_size": options.batch_size,
            "learning_rate": plan.long_recipe.learning_rate * factor,
        }
    if options.drop_path_rate is not None:
        changes["drop_path_rate"] = options.drop_path_rate
    try:
        data = DataConfig(
            name=name,
            root=options.data_root,
            classes=options.classes,
            image_size=plan.image_size,
        )
        return TrainingConfig.model_validate(
            {
                "arch": spec.to_json(),
                "data": data,
                "recipe": {**plan.long_recipe.model_dump(), **changes},
                "seed": options.seed,
                "resources": _resources(resources),
                **tracking,
            }
        )
    except ValidationError as error:
        names = {
            f"recipe.{field}": option(field) for field in ("steps", "batch_size", "drop_path_rate")
        }
        raise ConfigError(first_fault(error, {**names, "root": "--data-root"})) from error


def _resources(given: dict[str, Any]) -> dict[str, Any]:
    """A process a GPU where there are any, else one on the CPU."""
    import torch

    gpus = torch.cuda.device_count()
    default: dict[str, Any] = {"gpus_per_trial": 1, "workers": gpus} if gpus else {"workers": 1}
    if given.get("address"):
        default.pop("workers", None)  # all that fit the cluster
    return {**default, **given}


def _default_directory(arch: str) -> Path:
    name = Path(arch.partition(":")[0]).stem or "training"
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _go(run: TrainingRun, console: Console) -> int:
    """Trains what is left, then says what came of it."""
    from ..cost import estimate_cost
    from ..search.training_run import continue_training

    config, data = run.config, run.data
    size, recipe = config.image_size, config.recipe
    cost = estimate_cost(config.spec, size, task=config.data.task, num_classes=data.num_classes)
    hint = hint_of("interrupted", NAME, run.directory)
    killed = f"{NAME}: {hint_of('killed', NAME, run.directory)}"
    say(
        console,
        f"{config.spec.id}: {cost.params / 1e6:.2f} M parameters, {cost.macs / 1e9:.3f} GMACs at"
        f" {size[0]}x{size[1]}, {data.num_classes} classes of {config.data.title}",
        f"{recipe.described_steps} of {recipe.batch_size} images, first weights"
        f" {config.initial or f'drawn from seed {config.seed}'}; directory {run.directory}",
    )
    with Interrupts() as interrupts, last_words(killed):
        try:
            if not run.done:
                with _Progress(console, recipe.trained_steps) as progress:
                    continue_training(run, progress.show)
            interrupted = interrupts.seen
        except (InterruptedError, KeyboardInterrupt):
            interrupted = True
        except ValueError:
            if not interrupts.seen:
                raise
            interrupted = True  # what was struck beside this program, such as Ray, is missed
        if interrupted:
            say(console, hint)
            return interrupts.status
    _say_scores(run, console)
    return 0


def _say_scores(run: TrainingRun, console: Console) -> None:
    scores = json.loads(run.layout.scores.read_text(encoding="utf-8"))
    if run.config.data.task == "classification":
        found = f"top-1 {100 * scores['top1']:.2f}%, top-5 {100 * scores['top5']:.2f}%"
    else:
        _say_classes(scores["class_iou"], console)
        found = f"mIoU {100 * scores['miou']:.2f}%"
    say(
        console,
        f"{found} on {len(run.data.val)} validation images, one seed",
        f"network: {run.layout.model}; curve: {run.layout.curve}",
    )


def _say_classes(class_iou: dict[str, float | None], console: Console) -> None:
    from rich.table import Table

    table = Table("class", box=None)
    table.add_column("IoU %", justify="right")
    for name, iou in class_iou.items():
        table.add_row(name, "not there" if iou is None else f"{100 * iou:.1f}")
    console.print(table)


class _Progress:
    """A bar with the time that is left on a terminal; elsewhere a line now and then."""

    def __init__(self, console: Console, steps: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console, self._steps = console, steps
        self._told = -1
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=600,
        )

    def __enter__(self) -> _Progress:
        self._bar.start()
        self._task = self._bar.add_task("starting", total=self._steps)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, reached: Reached | None) -> None:
        """Shows how far it is."""
        if reached is None:
            return
        words = f"loss {reached.loss:.3f}"
        for name, value in (("mIoU", reached.miou), ("top-1", reached.top1)):
            if value is not None:
                words += f", {name} {100 * value:.2f}%"
        self._bar.update(self._task, completed=reached.step, description=words)
        line = reached.step * LINES // self._steps
        if line > self._told and not self._console.is_terminal:
            self._told = line
            left = reached.seconds / max(reached.step, 1) * (self._steps - reached.step)
            say(
                self._console,
                f"[{reached.seconds:6.0f} s] step {reached.step}/{self._steps}: {words};"
                f" {left:.0f} s left",
            )


if __name__ == "__main__":
    main()
