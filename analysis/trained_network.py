"""A trained network on a validation set: its scores, those of its ONNX file, and what it sees.

    hrvit-export RUN --output network.onnx --normalise
    python analysis/trained_network.py RUN network.onnx --data camvid --data-root DIR \
        --image-size 192 256 --figure docs/camvid_trained.png

Scores the network by PyTorch and its ONNX file (normalisation inside) by onnxruntime, on the same
pixels. The figure has photographs that stand evenly in the split, their truth and the prediction.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from PIL import Image
from torch import Tensor, nn

from hrvit_nas.data import DataConfig, SegmentationData, load_data
from hrvit_nas.data.batches import normalised, val_batches
from hrvit_nas.data.sheet import BACKGROUND, GAP, label_colours, legend
from hrvit_nas.evaluation import evaluate
from hrvit_nas.models import Segmentor
from hrvit_nas.search.kept import load_network

COLUMNS, TILE = 4, 256
BATCH = 4


class OnnxNetwork(nn.Module):
    """An ONNX file, called as a network is, on images that are not normalised."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options)
        self._input = self._session.get_inputs()[0].name

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, num_classes, H, W)."""
        (logits,) = self._session.run(None, {self._input: images.numpy()})
        return torch.from_numpy(logits)


def as_exported(data: SegmentationData) -> Iterator[tuple[Tensor, Tensor]]:
    """Validation images (B, 3, H, W) in 0 to 255, which a file with normalisation inside takes."""
    for start in range(0, len(data.val), BATCH):
        count = min(BATCH, len(data.val) - start)
        pairs = [data.val.load(start + number) for number in range(count)]
        images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
        labels = torch.from_numpy(np.stack([labels for _, labels in pairs]))
        yield images.float(), labels.long()


def draw(model: Segmentor, data: SegmentationData, path: Path) -> None:
    """Photographs above their truth above the prediction."""
    colours = label_colours(data.class_names)
    rows: list[list[Image.Image]] = [[], [], []]
    for column in range(COLUMNS):
        image, labels = data.val.load((2 * column + 1) * len(data.val) // (2 * COLUMNS))
        with torch.inference_mode():
            predicted = model(normalised(image[None])).argmax(1)[0].numpy()
        predicted = np.where(labels == 255, 255, predicted)
        for row, pixels in zip(rows, (image, colours[labels], colours[predicted]), strict=True):
            row.append(Image.fromarray(pixels))
    height = round(rows[0][0].height * TILE / rows[0][0].width)
    width = COLUMNS * (TILE + GAP) + GAP
    below = legend(data.class_names, colours, width)
    sheet = Image.new("RGB", (width, 3 * (height + GAP) + GAP + below.height), BACKGROUND)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            kind = Image.Resampling.NEAREST if y else Image.Resampling.BICUBIC
            place = (GAP + x * (TILE + GAP), GAP + y * (height + GAP))
            sheet.paste(tile.resize((TILE, height), kind), place)
    sheet.paste(below, (0, 3 * (height + GAP) + GAP))
    sheet.save(path, optimize=True)


def main() -> None:
    """Prints scores, and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="as `hrvit-eval --model` has it")
    parser.add_argument("onnx", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--image-size", type=int, nargs=2, required=True)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_network(options.network)
    if not isinstance(model, Segmentor):
        parser.error(f"{options.network} segments nothing")
    model.eval()
    config = DataConfig(
        name=options.data, root=options.data_root, image_size=tuple(options.image_size)
    )
    data = load_data(config)
    exported = OnnxNetwork(options.onnx)
    own = evaluate(model, val_batches(data.val, batch_size=BATCH), num_classes=data.num_classes)
    other = evaluate(exported, as_exported(data), num_classes=data.num_classes)
    largest, differing, pixels = 0.0, 0, 0
    with torch.inference_mode():
        for (images, labels), (raw, _) in zip(
            val_batches(data.val, batch_size=BATCH), as_exported(data), strict=True
        ):
            mine, theirs = model(images), exported(raw)
            largest = max(largest, float((mine - theirs).abs().max() / mine.abs().max()))
            differing += int((mine.argmax(1) != theirs.argmax(1)).sum())
            pixels += labels.numel()
    print(f"{len(data.val)} images of {'x'.join(map(str, options.image_size))}")
    print(f"mIoU {own.miou:.4%} by PyTorch, {other.miou:.4%} by onnxruntime")
    print(f"largest difference of a logit {largest:.1e} of the largest logit of its batch;")
    print(f"{differing} of {pixels} pixels are called another class")
    for name, iou in zip(data.class_names, own.class_iou, strict=True):
        print(f"  {name:12} {iou:7.2%}")
    if options.figure:
        draw(model, data, options.figure)


if __name__ == "__main__":
    main()
