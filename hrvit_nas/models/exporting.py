"""Networks as programs for other runtimes: `torch.export`, and ONNX made of that.

One program serves every batch, height and width of at least 32, also such that 32 does not divide;
`symbolic` has what differs from an eager network. A program refuses smaller images, as networks do.

ONNX needs the extra `export`.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from .. import __version__
from .._messages import first_line, one_line
from .build import Network
from .layers import MIN_IMAGE_SIDE
from .mit import MissingExtraError, MiT
from .symbolic import is_symbolic

TOLERANCE = 1e-4
"""Largest difference from the network, of logits of up to 1; of larger ones, that share."""
CHECKED_SIZES = ((64, 96), (75, 133), (161, 70))
"""Heights and widths that a program is tried at; 32 divides those of the first alone."""
EXAMPLE_SIZE = (72, 104)
INPUT, OUTPUT = "image", "logits"

Run = Callable[[Tensor], Tensor]


class ExportError(ValueError):
    """A network cannot be exported, or its program does not compute the same."""


class _Shipped(nn.Module):
    """A network as it is exported, perhaps with normalisation before it."""

    mean: Tensor
    deviation: Tensor
    last_needed: Tensor

    def __init__(self, model: Network, normalise: bool) -> None:
        super().__init__()
        self.model = _as_exported(model)
        self.normalise = normalise
        self.register_buffer("last_needed", torch.tensor([MIN_IMAGE_SIDE - 1]))
        if normalise:
            described = model.description
            if described is None:
                raise ExportError("normalisation is not known of this network, so it stays outside")
            for name in ("mean", "deviation"):
                values = torch.tensor(getattr(described, name)).view(1, 3, 1, 1)
                self.register_buffer(name, values)

    def forward(self, image: Tensor) -> Tensor:
        x_bchw = image
        if self.normalise:
            x_bchw = (x_bchw - self.mean) / self.deviation
        for side in image.shape[2:]:
            if is_symbolic(side):
                # ONNX has no checks, but no runtime takes a place that is not there. Adds zero.
                last = torch.arange(side).index_select(0, self.last_needed)
                x_bchw = x_bchw + (last - self.last_needed)
        logits: Tensor = self.model(x_bchw)
        return logits


def _as_exported(model: Network) -> Network:
    return deepcopy(model).eval().float().cpu()


def export_program(
    model: Network, *, normalise: bool = False, size: tuple[int, int] | None = None
) -> ExportedProgram:
    """A network as a `torch.export` program.

    Args:
        model: A network, which stays as it is; exported is what it computes in eval mode, in
            float32, on the CPU.
        normalise: Whether the program takes images of 0..255 and normalises them itself, as
            `model.description` says.
        size: Height and width of all its images; None = any of at least 32.

    Returns:
        A program of any batch size, for `torch.export.save`, or to call as `.module()`. Images of
        another size than it is for are refused.

    Raises:
        ExportError: The network is a MiT, or asks what a symbol cannot tell; normalisation is not
            known; or the size is out of range.
    """
    if isinstance(model.backbone, MiT):
        raise ExportError("mit is a network of Hugging Face transformers; export it with theirs")
    if size is not None and min(size) < MIN_IMAGE_SIDE:
        raise ExportError(
            f"an exported size must be at least {MIN_IMAGE_SIDE} a side, got {size[0]}x{size[1]}"
        )
    shipped = _Shipped(model, normalise)
    batch = Dim("batch", min=1)
    dynamic: dict[int, Any] = {0: batch}
    if size is None:
        dynamic |= {2: Dim("height", min=MIN_IMAGE_SIDE), 3: Dim("width", min=MIN_IMAGE_SIDE)}
    example = torch.zeros(2, 3, *(size or EXAMPLE_SIZE))
    try:
        with _quiet(), torch.no_grad():
            return torch.export.export(
                shipped,
                (example,),
                dynamic_shapes=(dynamic,),
                # What holds for all sizes, but not by the solver's rules, is checked at run time.
                prefer_deferred_runtime_asserts_over_guards=True,
            )
    except RuntimeError as error:  # of which torch's own are subclasses
        raise ExportError(
            f"torch.export cannot trace {model.spec.id}: {one_line(first_line(error), 160)}"
        ) from error


def write_onnx(program: ExportedProgram, path: Path, model: Network, *, normalised: bool) -> None:
    """Writes a program as an ONNX file, with what `model.description` says in its metadata.

    Args:
        program: As `export_program` returns it.
        path: The file.
        model: The network that the program is of.
        normalised: Whether the program normalises.

    Raises:
        MissingExtraError: The extra `export` is not installed.
        OSError: The file cannot be written.
    """
    require_onnx(run=False)
    from onnx_ir.passes import Sequential, common
    from onnxscript import optimizer

    with _quiet():
        made = torch.onnx.export(program, (), verbose=False, dynamo=True, optimize=False)
        assert made is not None
        # As `optimize` does, but for rewriting by patterns: of thousands of nodes that takes
        # minutes, and a runtime does the same as it loads.
        optimizer.inline(made.model)
        optimizer.fold_constants(made.model)
        optimizer.remove_unused_nodes(made.model)
        tidied = Sequential(
            common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
            common.DeduplicateInitializersPass(),
            common.CommonSubexpressionEliminationPass(),
            common.ClearMetadataAndDocStringPass(),  # where in our source each node comes from
        )
        tidied(made.model)
    graph = made.model.graph
    for value, name in ((graph.inputs[0], INPUT), (graph.outputs[0], OUTPUT)):
        value.name = name
        _name_sizes(value, ("batch", None, "height", "width"))
    described = model.description
    about = {
        "hrvit_nas": __version__,
        "arch_id": model.spec.id,
        "arch": model.spec.to_json(),
        "normalised": json.dumps(normalised),
        "description": json.dumps(None if described is None else described.to_dict()),
    }
    made.model.metadata_props.update(about)
    made.save(str(path), external_data=False)


def _name_sizes(value: Any, names: Sequence[str | None]) -> None:
    for index, name in enumerate(names[: len(value.shape)]):
        if name is not None and not isinstance(value.shape[index], int):
            value.shape[index] = name


def onnx_runner(path: Path) -> Run:
    """Runs an ONNX file on the CPU with onnxruntime.

    Raises:
        MissingExtraError: The extra `export` is not installed.
    """
    require_onnx(run=True)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # what goes wrong is raised
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(image: Tensor) -> Tensor:
        (logits,) = session.run(None, {INPUT: image.numpy()})
        return torch.from_numpy(logits)

    return run


@torch.no_grad()
def differences(
    run: Run,
    model: Network,
    *,
    normalised: bool = False,
    sizes: Sequence[tuple[int, int]] = CHECKED_SIZES,
) -> list[float]:
    """How far a program is from its network at some sizes, in batches of one and two by turns.

    Args:
        run: The program.
        model: The network.
        normalised: Whether the program normalises.
        sizes: Heights and widths.

    Returns:
        The largest difference of a logit at each size, over the larger of 1 and the largest logit.

    Raises:
        ExportError: The program returns another shape.
    """
    model = _as_exported(model)
    generator = torch.Generator().manual_seed(0)
    found = []
    for number, (height, width) in enumerate(sizes):
        image = torch.rand(1 + number % 2, 3, height, width, generator=generator) * 255
        given = image
        if described := model.description:
            mean, deviation = (
                torch.tensor(values).view(1, 3, 1, 1)
                for values in (described.mean, described.deviation)
            )
            given = (image - mean) / deviation
        else:
            given = image / 128 - 1
        wanted = model(given)
        logits = run(image if normalised else given)
        if logits.shape != wanted.shape:
            raise ExportError(
                f"at {height}x{width} the program returns {tuple(logits.shape)}, the network"
                f" {tuple(wanted.shape)}"
            )
        scale = max(1.0, float(wanted.abs().max()))
        found.append(float((logits - wanted).abs().max()) / scale)
    return found


def program_runner(path: Path) -> Run:
    """Runs a file that `torch.export.save` wrote."""
    with path.open("rb") as file, _quiet():
        run: Run = torch.export.load(file).module()
    return run


def require_onnx(*, run: bool) -> None:
    """Refuses where packages of the extra `export` are missing.

    Args:
        run: Whether ONNX files are to be run, too.

    Raises:
        MissingExtraError: One is; the message names it.
    """
    for package in ("onnx", "onnxscript", *(["onnxruntime"] if run else [])):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"ONNX needs the package {package}; pip install 'hrvit_nas[export]'"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what exporters tell their own developers from the user; errors are raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    loggers += [logging.getLogger(name) for name in ("onnx_ir", "torch.fx", "torch._export")]
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    levels = [(logger, logger.level) for logger in (*loggers, registration)]
    for logger, _ in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        # Of what it cannot trace, torch prints all that it traced before.
        with warnings.catch_warnings(), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
