"""A trained network on a validation set: its scores, those of its ONNX file, and what it sees.

    hrvit-export RUN --output network.onnx
    python analysis/trained_network.py RUN network.onnx --data camvid --data-root DIR \
        --image-size 192 256 --figure docs/camvid_trained.png

Scores the network by PyTorch and its ONNX file by onnxruntime, on the same pixels, by one thread
each. The figure has photographs that stand evenly in the split, their truth and the prediction.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hrvit_nas.data import IGNORE_INDEX, DataConfig, SegmentationData, load_data
from hrvit_nas.data.batches import normalised, val_batches
from hrvit_nas.data.sheet import label_colours, tiled
from hrvit_nas.evaluation.tally import Tally, is_boundary
from hrvit_nas.models import Segmentor
from hrvit_nas.models.exporting import onnx_runner
from hrvit_nas.search.kept import load_network

COLUMNS, TILE = 4, 256
BATCH = 4


def draw(model: Segmentor, data: SegmentationData, path: Path) -> None:
    """Photographs above their truth above the prediction."""
    colours = label_colours(data.class_names)
    rows: list[list[Image.Image]] = [[], [], []]
    for column in range(COLUMNS):
        image, labels = data.val.load((2 * column + 1) * len(data.val) // (2 * COLUMNS))
        predicted = model(normalised(image[None])).argmax(1)[0].numpy()
        predicted = np.where(labels == IGNORE_INDEX, IGNORE_INDEX, predicted)
        size = TILE, round(labels.shape[0] * TILE / labels.shape[1])
        for row, pixels in zip(rows, (image, colours[labels], colours[predicted]), strict=True):
            kind = Image.Resampling.NEAREST if row is not rows[0] else Image.Resampling.BICUBIC
            row.append(Image.fromarray(pixels).resize(size, kind))
    tiled(rows, data.class_names).save(path, optimize=True)


@torch.inference_mode()
def main() -> None:
    """Prints scores, and draws the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="as `hrvit-eval --model` has it")
    parser.add_argument("onnx", type=Path, help="without normalisation inside")
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
    run = onnx_runner(options.onnx)
    config = DataConfig(
        name=options.data, root=options.data_root, image_size=tuple(options.image_size)
    )
    data = load_data(config)
    own, other = (Tally(data.num_classes, IGNORE_INDEX, torch.device("cpu")) for _ in range(2))
    largest, differing, pixels = 0.0, 0, 0
    for images, labels in val_batches(data.val, batch_size=BATCH):
        mine, theirs = model(images), run(images)
        near = is_boundary(labels, IGNORE_INDEX)
        called = own.add(mine, labels, near), other.add(theirs, labels, near)
        largest = max(largest, float((mine - theirs).abs().max() / mine.abs().max()))
        differing += int((called[0] != called[1]).sum())
        pixels += labels.numel()
    scores = own.evaluation()
    print(f"{len(data.val)} images of {'x'.join(map(str, options.image_size))}")
    print(f"mIoU {scores.miou:.4%} by PyTorch, {other.evaluation().miou:.4%} by onnxruntime")
    print(f"largest difference of a logit {largest:.1e} of the largest logit of its batch;")
    print(f"{differing} of {pixels} pixels are called another class")
    for name, iou in zip(data.class_names, scores.class_iou, strict=True):
        print(f"  {name:12} {iou:7.2%}")
    if options.figure:
        draw(model, data, options.figure)


if __name__ == "__main__":
    main()
