"""`hrvit-predict`: what a trained network sees in photographs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import run_app
from .inference_options import (
    REMEDY,
    InferenceOptions,
    TooLargeError,
    config_of,
    described,
    device_of,
    memory_told,
    network_of,
    predictor_of,
    told_of_size,
)
from .options import takes
from .pictures import check_outputs, counted, images_of, output_names, write_picture

if TYPE_CHECKING:
    from ..data.submission import Submission
    from ..evaluation import Predictor
    from ..models import Description, Segmentor

NAME = "hrvit-predict"
OUTPUT = Path("predictions")
SOME_FAILED = 1
"""Status where an image could not be read."""
EXAMPLES = """\b
Examples:
  hrvit-predict photo.jpg --model RUN
  hrvit-predict holiday --model network --output seen --labels
  hrvit-predict aerial.tif --model network --mode slide --crop 512 512 --scales 0.75,1,1.25 --flip
  hrvit-predict cityscapes/leftImg8bit/test --model network --submission cityscapes
"""

_log = logging.getLogger(__name__)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@dataclass(frozen=True, kw_only=True)
class PredictOptions(InferenceOptions):
    """What `hrvit-predict` can be asked."""

    images: Annotated[
        list[Path],
        typer.Argument(
            help="Photographs, and folders of photographs, with those below.", show_default=False
        ),
    ]
    opacity: Annotated[
        float, typer.Option(min=0, max=1, help="Of the colours over the photograph.")
    ] = 0.6
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Write NAME.labels.png too: a pixel is its class, of the photograph's size.",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One photograph and what is written of it."""

    image: Path
    sheet: Path
    labels: Path | None
    handed_in: Path | None

    @property
    def outputs(self) -> list[Path]:
        return [path for path in (self.sheet, self.labels, self.handed_in) if path is not None]


@app.command(epilog=EXAMPLES)
@takes(PredictOptions)
def predict(options: PredictOptions, _given: set[str]) -> int:
    """Writes photographs beside what a network sees in them, with a legend of the classes.

    Photographs are turned upright by their EXIF orientation, and everything that is written is
    upright. One that cannot be read is told of, the others go on, and the exit status is 1.
    """
    config = config_of(options)
    device = device_of(options)
    output = options.output or OUTPUT
    images = images_of(options.images, output)
    model = network_of(options)
    description = described(model)
    form = _submission(options, model)
    jobs = [
        _Job(
            image=image,
            sheet=output / f"{name}.png",
            labels=output / f"{name}.labels.png" if options.labels else None,
            handed_in=output / "submission" / form.file_name(image) if form else None,
        )
        for (image, _), name in zip(images, output_names(images), strict=True)
    ]
    check_outputs(
        [path for job in jobs for path in job.outputs],
        [job.image for job in jobs],
        options.overwrite,
    )
    predictor = predictor_of(model, config, device, description)
    done = 0
    with counted("photographs", len(jobs)) as count:
        for number, job in enumerate(jobs, start=1):
            done += _done(job, predictor, model, description, form, options, first=not done)
            count(number)
    return 0 if done == len(jobs) else SOME_FAILED


def _submission(options: PredictOptions, model: Segmentor) -> Submission | None:
    if options.submission is None:
        return None
    from ..data.submission import submission

    values = () if model.description is None else model.description.label_values
    return submission(options.submission.value, model.num_classes, values)


def _done(
    job: _Job,
    predictor: Predictor,
    model: Segmentor,
    description: Description,
    form: Submission | None,
    options: PredictOptions,
    *,
    first: bool,
) -> bool:
    """Whether a photograph could be read; what is written of it is printed."""
    import numpy as np
    from PIL import Image

    from ..data import DataError
    from ..data.overlay import label_image, overlay_sheet
    from ..data.reading import read_image

    try:
        with memory_told(REMEDY):
            image = np.asarray(read_image(job.image))
            if first:
                told_of_size(model, options, image.shape[:2])
            labels = predictor.labels(image)
    except TooLargeError as error:
        _log.warning("%s: %s", job.image, error)
        return False
    except DataError as error:
        _log.warning("%s", error)
        return False
    names, palette = description.class_names, description.palette
    write_picture(overlay_sheet(image, labels, names, palette, options.opacity), job.sheet)
    if job.labels is not None:
        write_picture(label_image(labels, palette), job.labels)
    if job.handed_in is not None and form is not None:
        write_picture(Image.fromarray(form.stored(labels)), job.handed_in)
    print(job.sheet)
    return True


def main() -> None:
    """Entry point."""
    run_app(app, NAME)


if __name__ == "__main__":
    main()
