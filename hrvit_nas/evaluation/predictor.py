"""One image of any size through a network: windows, several scales, mirrored.

Beside the image itself (and its pixels at each scale, 3 bytes each) and the network's activations,
what is held is bounded by the window: bands of logits as high as a window and at most `PANEL`
windows wide, one for each scale and two if mirrored, and what is averaged of `BAND_PIXELS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ..data.batches import normalised
from ..data.labels import IGNORE_INDEX
from ..data.splits import Split
from ..data.transforms import DEVIATION, MEAN
from ..models.layers import MIN_IMAGE_SIDE
from .confusion import Evaluation
from .inference import inference
from .resampling import Taps, resized_bands
from .tally import BOUNDARY_PIXELS, Tally, is_boundary
from .windows import Size, check_stride, sliding_bands

PANEL = 4
"""Windows that are held beside each other; of wider images, one panel after the other."""
BAND_PIXELS = 2**18
"""Pixels that are looked at at a time, at least a row."""
LOWEST_SCALE, HIGHEST_SCALE = 0.1, 8.0


@dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """How an image goes through a network.

    Attributes:
        input_size: Height and width that the network sees an image at, times each scale; None =
            the image's own.
        window: Height and width of a sliding window, in pixels of what the network sees; None =
            whole images.
        stride: Rows and columns from one window to the next; by default three quarters of the
            window, as published for Cityscapes (768 of 1024).
        scales: Factors of the input's size. Of several, the probabilities are averaged.
        flip: Whether each scale is seen mirrored as well.

    Raises:
        ValueError: A number is out of range.
    """

    input_size: Size | None = None
    window: Size | None = None
    stride: Size | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        for name, size in (("input size", self.input_size), ("window", self.window)):
            if size is not None and min(size) < 1:
                raise ValueError(f"the {name} must be at least 1x1, got {size[0]}x{size[1]}")
        if self.window is None and self.stride is not None:
            raise ValueError(f"a stride needs a window, got {self.stride} and none")
        if self.window is not None:
            check_stride(self.window, self.step(self.window))
        if not self.scales:
            raise ValueError("scales must name one at least")
        for scale in self.scales:
            if not LOWEST_SCALE <= scale <= HIGHEST_SCALE:  # nor is what is no number
                raise ValueError(
                    f"a scale must be {LOWEST_SCALE:g} to {HIGHEST_SCALE:g}, got {scale:g}"
                )
        if len(set(self.scales)) < len(self.scales):
            raise ValueError(f"two scales are the same, got {', '.join(map(str, self.scales))}")

    def step(self, window: Size) -> Size:
        """Rows and columns from one window to the next."""
        return self.stride or (-(-3 * window[0] // 4), -(-3 * window[1] // 4))


@dataclass(frozen=True, kw_only=True)
class Part:
    """What a network says of a part of an image.

    Attributes:
        rows: Which rows.
        columns: Which columns.
        logits: (1, C, rows, columns) float32; of several scales or mirrored, the logarithm of the
            mean probability.
    """

    rows: slice
    columns: slice
    logits: Tensor


class Predictor:
    """Brings images of any size through a network.

    Windows that overlap average their logits. These are resized to the image, bilinearly, before
    the softmax; scales and the mirrored image average its probabilities.

    Args:
        model: Maps (B, 3, H, W), H and W of at least 32, to logits (B, C, H, W); on `device`.
        config: How.
        device: Where to run.
        mean: What is taken from each channel, red, green, blue in 0..255.
        deviation: What the difference is divided by.
    """

    def __init__(
        self,
        model: nn.Module,
        config: InferenceConfig | None = None,
        *,
        device: str | torch.device = "cpu",
        mean: tuple[float, ...] = MEAN,
        deviation: tuple[float, ...] = DEVIATION,
    ) -> None:
        self.model = model
        self.config = config or InferenceConfig()
        self.device = torch.device(device)
        self._mean, self._deviation = mean, deviation

    def parts(self, image: NDArray[np.uint8]) -> Iterator[Part]:
        """What the network says of an image, in parts that together are the image.

        To be called, and gone through, within `inference`.

        Args:
            image: (H, W, 3), red, green, blue in 0..255.

        Raises:
            ValueError: The image is of another shape or type, or the logits are.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"an image must be (H, W, 3) of uint8, got {image.shape} of {image.dtype}"
            )
        seen = _Seen(image)
        height, width = seen.size
        for first, last in self._panels(width):
            most = max(1, BAND_PIXELS // (last - first))
            views = [
                self._view(seen, scale, mirrored, (first, last), most)
                for scale in self.config.scales
                for mirrored in ((False, True) if self.config.flip else (False,))
            ]
            top = 0
            for logits in views[0] if len(views) == 1 else _averaged(views, height, most):
                rows = slice(top, top + logits.shape[2])
                yield Part(rows=rows, columns=slice(first, last), logits=logits)
                top = rows.stop

    def labels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of every pixel of an image (H, W, 3), as (H, W).

        Raises:
            ValueError: As `parts`.
        """
        found = np.empty(image.shape[:2], np.uint8)
        with inference(self.model, self.device):
            for part in self.parts(image):
                classes = part.logits.argmax(1)[0].to("cpu", torch.uint8)
                found[part.rows, part.columns] = classes.numpy()
        return found

    def _panels(self, width: int) -> Iterator[tuple[int, int]]:
        """Columns of the image that are dealt with together."""
        window, size = self.config.window, self.config.input_size
        most = width
        if window is not None:
            widest = max(self.config.scales) * (1.0 if size is None else size[1] / width)
            most = max(1, int(PANEL * window[1] / widest))
        for first in range(0, width, most):
            yield first, min(first + most, width)

    def _view(
        self, seen: _Seen, scale: float, mirrored: bool, columns: tuple[int, int], most: int
    ) -> Iterator[Tensor]:
        """Logits of some columns at one scale, resized to the image, from the top."""
        height, width = self.config.input_size or seen.size
        size = max(1, round(height * scale)), max(1, round(width * scale))
        window = self.config.window or size
        step = size if self.config.window is None else self.config.step(window)
        logits_of = partial(self._logits, seen, size, mirrored)
        bands = partial(sliding_bands, logits_of, size, window, step, mirrored=mirrored)
        if size == seen.size:
            return _cut(bands(columns=columns), most)
        across = Taps.between(size[1], seen.size[1], *columns)
        down = Taps.between(size[0], seen.size[0], 0, seen.size[0])
        return resized_bands(bands(columns=across.span), down, across, most)

    def _logits(
        self, seen: _Seen, size: Size, mirrored: bool, rows: slice, columns: slice
    ) -> Tensor:
        batch = normalised(seen.window(size, rows, columns)[None], self._mean, self._deviation)
        batch = batch.to(self.device)
        if mirrored:
            batch = batch.flip(3)
        height, width = batch.shape[2:]
        # Networks take no less than this; the rest is of the mean colour, and is cut off again.
        missing = [max(0, MIN_IMAGE_SIDE - side) for side in (width, height)]
        if any(missing):
            batch = nn.functional.pad(batch, (0, missing[0], 0, missing[1]))
        logits: Tensor = self.model(batch.contiguous(memory_format=torch.channels_last))
        if logits.ndim != 4 or logits.shape[2:] != batch.shape[2:]:
            raise ValueError(
                f"the model must return logits of shape (1, classes, {batch.shape[2]},"
                f" {batch.shape[3]}), got {tuple(logits.shape)}"
            )
        logits = logits[:, :, :height, :width]
        return logits.flip(3) if mirrored else logits


class _Seen:
    """An image, of which parts are looked at in several sizes."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.size: Size = (image.shape[0], image.shape[1])
        self._sizes = {self.size: image}

    def window(self, size: Size, rows: slice, columns: slice) -> NDArray[np.uint8]:
        """A part (h, w, 3) of the image as it is at some size."""
        if size not in self._sizes:
            # All of it: Pillow rounds a part that is resized by itself in another way.
            picture = Image.fromarray(self._sizes[self.size])
            resized = picture.resize(size[::-1], Image.Resampling.BILINEAR)
            self._sizes[size] = np.asarray(resized)
        return self._sizes[size][rows, columns].copy()  # which may be read-only


def _cut(bands: Iterator[Tensor], most: int) -> Iterator[Tensor]:
    """Bands in pieces of some rows at most."""
    for band in bands:
        for top in range(0, band.shape[2], most):
            yield band[:, :, top : top + most]


def _averaged(views: list[Iterator[Tensor]], height: int, most: int) -> Iterator[Tensor]:
    """Logarithm of the mean probability of views, from the top."""
    waiting: list[Tensor | None] = [None] * len(views)
    for top in range(0, height, most):
        rows = min(most, height - top)
        total: Tensor | None = None
        for number, view in enumerate(views):
            filled = 0
            while filled < rows:
                logits = waiting[number]
                logits = next(view) if logits is None else logits
                taken = logits[:, :, : rows - filled].softmax(1)
                if total is None:
                    total = taken.new_zeros(*taken.shape[:2], rows, taken.shape[3])
                total[:, :, filled : filled + taken.shape[2]] += taken
                rest = logits[:, :, taken.shape[2] :]
                # A copy, or all of its band would be held.
                waiting[number] = rest.clone() if rest.shape[2] else None
                filled += taken.shape[2]
        assert total is not None
        # Beyond what a number can tell from 0, a logarithm still is one.
        yield total.div_(len(views)).clamp_(min=torch.finfo(total.dtype).tiny).log_()


def predict(
    model: nn.Module,
    image: NDArray[np.uint8],
    *,
    device: str | torch.device = "cpu",
    window: Size | None = None,
    stride: Size | None = None,
) -> NDArray[np.uint8]:
    """The class of every pixel of one image, as it comes from a split.

    Args:
        model: Maps (B, 3, H, W) to logits (B, num_classes, H, W); already on `device`.
        image: (H, W, 3), red, green, blue in 0..255.
        device: Where to run.
        window: Height and width of a sliding window, in pixels; None = the whole image.
        stride: Rows and columns from one window to the next; by default the window's.

    Returns:
        Labels (H, W).

    Raises:
        ValueError: The image is of another shape or type.
    """
    config = InferenceConfig(window=window, stride=stride or window)
    return Predictor(model, config, device=device).labels(image)


def evaluate_images(
    predictor: Predictor,
    split: Split,
    *,
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
    told: Callable[[int, int], None] | None = None,
    keep: Callable[[str, NDArray[np.uint8]], None] | None = None,
) -> Evaluation:
    """Scores a network on every labelled pixel of a split, an image at a time, of any sizes.

    Args:
        predictor: How images go through the network.
        split: Images and labels.
        num_classes: Number of classes.
        ignore_index: The label left out.
        told: Called with how many images are done, and of how many.
        keep: Called with an image's name and the classes (H, W) that were predicted.

    Raises:
        DataError: A file is damaged.
        ValueError: The logits do not fit the labels, a label is out of range, or no pixel is
            labelled.
    """
    tally = Tally(num_classes, ignore_index, predictor.device)
    for index, name in enumerate(split.names):
        image, labels = split.load(index)
        found = np.empty(labels.shape, np.uint8) if keep else None
        with inference(predictor.model, predictor.device):
            for part in predictor.parts(image):
                at = part.rows, part.columns
                mine = torch.from_numpy(labels[at].astype(np.int64))[None].to(predictor.device)
                near = _near(labels, *at, ignore_index).to(predictor.device)
                classes = tally.add(part.logits, mine, near)[0]
                if found is not None:
                    found[at] = classes.to("cpu", torch.uint8).numpy()
        if keep and found is not None:
            keep(name, found)
        if told:
            told(index + 1, len(split))
    return tally.evaluation()


def _near(labels: NDArray[np.uint8], rows: slice, columns: slice, ignore_index: int) -> Tensor:
    """Which pixels of a part of labels (H, W) are boundary, (1, rows, columns)."""
    top, left = (max(0, part.start - BOUNDARY_PIXELS) for part in (rows, columns))
    around = labels[top : rows.stop + BOUNDARY_PIXELS, left : columns.stop + BOUNDARY_PIXELS]
    found = is_boundary(torch.from_numpy(around.astype(np.int64))[None], ignore_index)
    return found[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
