"""`hrvit-eval`: how good a trained network is on a data set."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import run_app
from .inference_options import (
    REMEDY,
    InferenceOptions,
    config_of,
    described,
    device_of,
    memory_told,
    network_of,
    predictor_of,
    told_of_size,
)
from .options import ClassesOption, Data, DataRootOption, takes
from .pictures import check_outputs, counted, write_picture
from .running import say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data import DataConfig, SegmentationData, Split
    from ..data.submission import Submission
    from ..evaluation import Evaluation, Predictor
    from ..models import Segmentor

NAME = "hrvit-eval"
EXAMPLES = """\b
Examples:
  hrvit-eval --model RUN --data camvid --data-root /data/camvid --image-size 96 128
  hrvit-eval --model network --data cityscapes --data-root /data/cityscapes --mode slide
    --crop 1024 1024 --stride 768 768 --output scores --submission cityscapes
  hrvit-eval --model network --data ade20k --data-root /data/ade --scales 0.5,0.75,1,1.25,1.5 --flip
  hrvit-eval --model RUN:0123456789ab --data folder --data-root my_photos --classes c.yaml
    --format json
"""
SUBMISSION = "submission"

_log = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


class Format(StrEnum):
    """What is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


class SplitName(StrEnum):
    """Splits of a data set."""

    TRAIN = "train"
    VAL = "val"


@dataclass(frozen=True, kw_only=True)
class EvalOptions(InferenceOptions):
    """What `hrvit-eval` can be asked."""

    data: Annotated[Data, typer.Option(help="Data set.")]
    data_root: DataRootOption = None
    classes: ClassesOption = None
    split: Annotated[SplitName, typer.Option(help="Split to score.")] = SplitName.VAL
    image_size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="H W",
            help="Bring images and masks to this size first, as a run does. Default: as stored.",
        ),
    ] = None
    format: Annotated[Format, typer.Option(help="What to print.")] = Format.TABLE


@app.command(epilog=EXAMPLES)
@takes(EvalOptions)
def evaluate(options: EvalOptions, _given: set[str]) -> int:
    """Scores a trained network on every labelled pixel of a split, an image at a time.

    Images may have any size. mIoU is of the data set, not a mean over images, and over the classes
    that truth or prediction has. With --output it writes scores.json, classes.csv, confusion.csv
    and confusion.png, and with --submission a PNG an image.
    """
    config = config_of(options)
    found = _data_config(options)
    if options.submission is not None:
        if options.output is None:
            raise ValueError("--submission needs --output, the folder to write to")
        if options.image_size is not None:
            raise ValueError(
                "--submission is of images at their own size; use --input-size in place of"
                " --image-size"
            )
    device = device_of(options)
    from ..data import open_data

    model = network_of(options)
    data = open_data(found)
    split = data.train if options.split is SplitName.TRAIN else data.val
    _check_classes(options.model, model, data)
    form = _submission(options, model)
    files = _files(options, form, split)
    check_outputs(files, [Path(name) for name in split.names], options.overwrite)
    predictor = predictor_of(model, config, device, described(model))
    if options.image_size is None:
        told_of_size(model, options, split.load(0)[1].shape[:2])
    with _folder(options.output):
        evaluation = _scored(options, predictor, data, split, form)
    facts = _facts(options, model, evaluation, data, len(split))
    _show(options, evaluation, data, facts)
    if options.output is not None:
        _write(options.output, evaluation, data, facts)
        if options.format is Format.TABLE:
            print(f"scores and confusion figure: {options.output}")
    return 0


def _data_config(options: EvalOptions) -> DataConfig:
    from pydantic import ValidationError

    from .._messages import first_fault
    from ..data import DataConfig, DataError

    names = {"root": "--data-root", "image_size.0": "--image-size", "image_size.1": "--image-size"}
    try:
        config = DataConfig(
            name=options.data.value,
            root=options.data_root,
            classes=options.classes,
            image_size=options.image_size,
        )
    except ValidationError as error:
        raise DataError(first_fault(error, names)) from error
    if config.synthetic:
        raise DataError(f"--data {config.name} has no images to score on")
    return config


def _check_classes(name: str, model: Segmentor, data: SegmentationData) -> None:
    """Refuses another number of classes, and warns of other names."""
    if model.num_classes != data.num_classes:
        raise ValueError(
            f"{name} tells {model.num_classes} classes apart, and data set {data.name!r} has"
            f" {data.num_classes}"
        )
    if model.description is None:
        return
    pairs = zip(model.description.class_names, data.class_names, strict=True)
    differing = [
        (label, mine, theirs) for label, (mine, theirs) in enumerate(pairs) if mine != theirs
    ]
    if differing:
        label, mine, theirs = differing[0]
        _log.warning(
            "%d of %d classes have other names: label %d is %r to the network and %r in the data;"
            " scores go by label, and are wrong if these are not the same",
            *(len(differing), data.num_classes, label, mine, theirs),
        )


def _submission(options: EvalOptions, model: Segmentor) -> Submission | None:
    if options.submission is None:
        return None
    from ..data.submission import submission

    values = () if model.description is None else model.description.label_values
    return submission(options.submission.value, model.num_classes, values)


def _files(options: EvalOptions, form: Submission | None, split: Split) -> list[Path]:
    """All that will be written."""
    if options.output is None:
        return []
    names = ["scores.json", "classes.csv", "confusion.csv", "confusion.png"]
    if form is not None:
        names += [f"{SUBMISSION}/{form.file_name(name)}" for name in split.names]
    return [options.output / name for name in names]


@contextmanager
def _folder(output: Path | None) -> Iterator[None]:
    """Makes the folder before an hour of scoring, and leaves none if nothing comes of it."""
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if output is not None and not any(output.iterdir()):
            output.rmdir()
        raise


def _scored(
    options: EvalOptions,
    predictor: Predictor,
    data: SegmentationData,
    split: Split,
    form: Submission | None,
) -> Evaluation:
    from PIL import Image

    from ..evaluation import evaluate_images

    def keep(name: str, labels: NDArray[np.uint8]) -> None:
        assert form is not None
        assert options.output is not None
        path = options.output / SUBMISSION / form.file_name(name)
        write_picture(Image.fromarray(form.stored(labels)), path)

    with counted("images", len(split)) as done, memory_told(REMEDY):
        return evaluate_images(
            predictor,
            split,
            num_classes=data.num_classes,
            ignore_index=data.ignore_index,
            told=lambda number, _: done(number),
            keep=keep if form else None,
        )


def _facts(
    options: EvalOptions,
    model: Segmentor,
    evaluation: Evaluation,
    data: SegmentationData,
    images: int,
) -> dict[str, Any]:
    """What was found, and how, as plain data."""
    from ..report.evaluation import class_records, score_facts

    rows, config = class_records(evaluation, data.class_names).rows, config_of(options)
    return {
        **score_facts(evaluation),
        "classes": [
            {name: None if cell == "" else cell for name, cell in row.items()} for row in rows
        ],
        "pixels": int(evaluation.confusion.sum()),
        "images": images,
        "model": options.model,
        "arch_id": model.spec.id,
        "data": data.name,
        "split": options.split.value,
        "image_size": options.image_size,
        "input_size": options.input_size,
        "mode": options.mode.value,
        "crop": options.crop,
        "stride": options.crop and config.step(options.crop),
        "scales": config.scales,
        "flip": options.flip,
    }


def _title(facts: dict[str, Any]) -> str:
    """What was scored, in a line."""
    scales = ", ".join(f"{scale:g}" for scale in facts["scales"])
    how = [
        f"windows of {_text(facts['crop'])}" if facts["crop"] else "whole images",
        f"scales {scales}" if facts["scales"] != (1.0,) else "",
        "and mirrored" if facts["flip"] else "",
        f"at {_text(facts['image_size'])}" if facts["image_size"] else "",
        f"seen at {_text(facts['input_size'])}" if facts["input_size"] else "",
    ]
    return (
        f"{facts['arch_id']} on {facts['data']} {facts['split']}, {facts['images']:,} images:"
        f" {', '.join(filter(None, how))}"
    )


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _show(
    options: EvalOptions, evaluation: Evaluation, data: SegmentationData, facts: dict[str, Any]
) -> None:
    from rich.console import Console

    from ..report.evaluation import (
        class_records,
        confusion_data,
        evaluation_grid,
        largest_confusions,
    )
    from ..report.render.csv import print_csv
    from ..report.render.terminal import print_grid

    if options.format is Format.JSON:
        print(json.dumps(facts, indent=2))
    elif options.format is Format.CSV:
        print_csv(class_records(evaluation, data.class_names), sys.stdout)
    else:
        console = Console()
        grid = evaluation_grid(evaluation, data.class_names)
        say(console, _title(facts))
        print_grid(console, grid)
        confusion = confusion_data(evaluation.confusion, data.class_names, "")
        say(console, *largest_confusions(confusion))


def _write(
    output: Path, evaluation: Evaluation, data: SegmentationData, facts: dict[str, Any]
) -> None:
    from ..report.evaluation import class_records, confusion_data
    from ..report.plots import draw_confusion
    from ..report.render.csv import write_csv
    from ..results import write_csv as write_rows
    from ..results import write_text

    write_text(output / "scores.json", json.dumps(facts, indent=2) + "\n")
    write_csv(class_records(evaluation, data.class_names), output / "classes.csv")
    labels = [str(label) for label in range(data.num_classes)]
    rows = [
        {"truth": truth, "class": name, **dict(zip(labels, row, strict=True))}
        for truth, (name, row) in enumerate(
            zip(data.class_names, evaluation.confusion.tolist(), strict=True)
        )
    ]
    write_rows(output / "confusion.csv", ["truth", "class", *labels], rows)
    shown = confusion_data(evaluation.confusion, data.class_names, _title(facts))
    draw_confusion(shown, output / "confusion.png")


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


if __name__ == "__main__":
    main()
