"""Options of the commands that bring images through a trained network, and what they mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .._messages import first_line, shown
from .options import listed

if TYPE_CHECKING:
    import torch

    from ..evaluation import InferenceConfig, Predictor
    from ..models import Description, Segmentor

_log = logging.getLogger(__name__)

FAR_FROM_TRAINED = 4
"""Times as many pixels as a network has learnt at, or as few, from which on that is said."""
REMEDY = "--mode slide with --crop holds less, and so does a smaller --input-size"


class Mode(StrEnum):
    """How an image goes through the network."""

    WHOLE = "whole"
    SLIDE = "slide"


class Form(StrEnum):
    """Forms that predictions can be handed in in."""

    CITYSCAPES = "cityscapes"
    ADE20K = "ade20k"


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """What both commands can be asked."""

    model: Annotated[
        str,
        typer.Option(
            help="The network: a folder that save_pretrained wrote, a file of a run's checkpoints,"
            " a run directory (the best of its frontier), or RUN:ID."
        ),
    ]
    mode: Annotated[Mode, typer.Option(help="Whole images, or a sliding window of --crop.")] = (
        Mode.WHOLE
    )
    crop: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="H W", help="Height and width of the window, for --mode slide."),
    ] = None
    stride: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="H W",
            help="Rows and columns from one window to the next. Default: three quarters of --crop.",
        ),
    ] = None
    scales: Annotated[
        str,
        typer.Option(
            help="Factors of the image's size, such as 0.5,0.75,1; probabilities are averaged."
        ),
    ] = "1"
    flip: Annotated[
        bool, typer.Option("--flip", help="See each image mirrored as well, and average.")
    ] = False
    input_size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="H W",
            help="What the network sees images at, times the scales; answers have the image's own"
            " size. Default: the image's.",
        ),
    ] = None
    device: Annotated[
        str, typer.Option(help="cpu, cuda, cuda:N or mps. Default: cuda where there is one.")
    ] = "auto"
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads. Default: torch's.")
    ] = None
    output: Annotated[Path | None, typer.Option(help="Folder to write to.")] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False
    submission: Annotated[
        Form | None,
        typer.Option(help="Write predictions in the form that this benchmark's server takes."),
    ] = None


def config_of(options: InferenceOptions) -> InferenceConfig:
    """How images go through the network.

    Raises:
        ValueError: Options contradict each other, or a number is out of range.
    """
    if options.mode is Mode.SLIDE and options.crop is None:
        raise ValueError("--mode slide needs --crop, the height and width of the window")
    for name in ("crop", "stride"):
        if options.mode is Mode.WHOLE and getattr(options, name) is not None:
            raise ValueError(f"--{name} needs --mode slide; drop it")
    from ..evaluation import InferenceConfig

    return InferenceConfig(
        input_size=options.input_size,
        window=options.crop,
        stride=options.stride,
        scales=_scales(options.scales),
        flip=options.flip,
    )


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in listed(text))
    except ValueError:
        raise ValueError(
            f"--scales must be numbers separated by commas, such as 0.5,1,1.5; got {shown(text)}"
        ) from None


def device_of(options: InferenceOptions) -> torch.device:
    """Where to run; sets the number of threads.

    Raises:
        ValueError: There is no such device.
    """
    import torch

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(options.device)
    except RuntimeError:
        device = torch.device("meta")
    count = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type)
    if count is None:
        raise ValueError(f"--device must be cpu, cuda, cuda:N or mps, got {shown(options.device)}")
    if (device.index or 0) >= count:
        there = f"{count} of {device.type}" if count else f"no {device.type} device"
        raise ValueError(f"--device {options.device}: there is {there}")
    return device


def network_of(options: InferenceOptions) -> Segmentor:
    """The network, on the CPU.

    Raises:
        ValueError: There is none, or it segments nothing.
    """
    from ..models import Segmentor
    from ..search.kept import load_network

    model = load_network(options.model)
    if not isinstance(model, Segmentor):
        raise ValueError(f"{options.model} holds a {model.kind}; images need a segmentor")
    if model.description is None:
        _log.warning(
            "%s does not say what its classes and its normalisation are; ImageNet's mean and"
            " deviation are taken",
            options.model,
        )
    return model


def predictor_of(
    model: Segmentor, config: InferenceConfig, device: torch.device, described: Description
) -> Predictor:
    """The network on its device, with its own normalisation."""
    from ..evaluation import Predictor

    return Predictor(
        model.to(device),
        config,
        device=device,
        mean=described.mean,
        deviation=described.deviation,
    )


def described(model: Segmentor) -> Description:
    """What the network's numbers mean, or what they are taken to mean."""
    from ..data import describe

    return model.description or describe([f"class {n}" for n in range(model.num_classes)])


def told_of_size(model: Segmentor, options: InferenceOptions, size: tuple[int, int]) -> None:
    """Says where the network sees images far from the size that it has learnt at."""
    trained = trained_at(model)
    if trained is None or options.input_size is not None:
        return
    ratio = size[0] * size[1] / (trained[0] * trained[1])
    if not 1 / FAR_FROM_TRAINED <= ratio <= FAR_FROM_TRAINED:
        _log.warning(
            "the network has learnt at %dx%d, and sees images at their own size, the first %dx%d;"
            " --input-size %d %d shows it what it has learnt from",
            *(*trained, *size, *trained),
        )


def trained_at(model: Segmentor) -> tuple[int, int] | None:
    """Height and width that the network was trained at, where that is known."""
    data = (model.provenance or {}).get("data")
    size = data.get("image_size") if isinstance(data, dict) else None
    fits = isinstance(size, list | tuple) and len(size) == 2
    return (int(size[0]), int(size[1])) if fits and size is not None else None


class TooLargeError(ValueError):
    """An image for which memory does not suffice."""


@contextmanager
def memory_told(remedy: str) -> Iterator[None]:
    """Says in one line that memory does not suffice, and what to do.

    Raises:
        TooLargeError: It does not.
    """
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise TooLargeError(f"memory does not suffice for an image; {remedy}") from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise TooLargeError(
            f"memory does not suffice for an image ({first_line(error)}); {remedy}"
        ) from error
