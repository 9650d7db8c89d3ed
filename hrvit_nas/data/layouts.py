"""Where data sets keep their images and masks, and what the values in a mask mean.

- `camvid`: `images/{train,val}/NAME.jpg` (or .jpeg, .png), `annotations/{train,val}/NAME.png`;
  11 classes, the value 11 is ignored.
- `folder`: the same tree, with the classes in a YAML file::

      classes: [sky, building, road]   # the value of a pixel is the place in this list, from 0
      ignore: 255                      # the one value that is not scored (may be left out)

- `cityscapes`: `leftImg8bit/{train,val}/CITY/NAME_leftImg8bit.png` and
  `gtFine/{train,val}/CITY/NAME_gtFine_labelIds.png`; label ids become the 19 train ids, every
  other id is ignored.
- `ade20k`: `ADEChallengeData2016/images/{training,validation}/NAME.jpg` and
  `ADEChallengeData2016/annotations/...`; the root is that folder or the one above it. Value 0
  is ignored, value k is class k - 1 of 150.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._files import load_yaml
from .config import IGNORE_INDEX, DataConfig, DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "val")


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """What the stored values of a mask become.

    Attributes:
        table: Class of each stored value 0..255; -1 where a value must not occur.
        allowed: The values that may occur, in words.
    """

    table: NDArray[np.int16]
    allowed: str

    @classmethod
    def of(cls, classes: Mapping[int, int], ignored: Iterable[int], allowed: str) -> LabelMap:
        """Builds a map from stored value -> class, and the stored values that are ignored."""
        table = np.full(256, -1, np.int16)
        table[list(ignored)] = IGNORE_INDEX
        for value, label in classes.items():
            table[value] = label
        return cls(table=table, allowed=allowed)


@dataclass(frozen=True, kw_only=True)
class FileSet:
    """The files of a data set, paired, nothing decoded yet.

    Attributes:
        class_names: Names of the classes, by label.
        labels: Meaning of the values in the masks.
        pairs: (image, mask) paths of each of `SPLITS`, sorted by name.
    """

    class_names: tuple[str, ...]
    labels: LabelMap
    pairs: Mapping[str, tuple[tuple[Path, Path], ...]]


def find_files(config: DataConfig) -> FileSet:
    """Lists and pairs the files of a data set that lies on disk.

    Raises:
        DataError: The root, a split or a mask is missing, a split has no images, or the YAML
            of a `folder` set is wrong.
    """
    assert config.root is not None
    root = config.root.expanduser().absolute()
    if not root.is_dir():
        raise DataError(f"root of data set {config.name!r} is not a folder: {root}")
    if config.name == "cityscapes":
        return FileSet(
            class_names=CITYSCAPES_CLASSES,
            labels=CITYSCAPES_LABELS,
            pairs={split: _cityscapes_pairs(root, split) for split in SPLITS},
        )
    if config.name == "ade20k":
        inner = root / "ADEChallengeData2016"
        root = inner if inner.is_dir() else root
        folders = {"train": "training", "val": "validation"}
        return FileSet(
            class_names=ADE20K_CLASSES,
            labels=LabelMap.of({k: k - 1 for k in range(1, 151)}, [0], "0 to 150"),
            pairs={split: _tree_pairs(root, folders[split]) for split in SPLITS},
        )
    if config.name == "camvid":
        classes, labels = CAMVID_CLASSES, _plain_labels(len(CAMVID_CLASSES), 11)
    else:
        assert config.classes is not None
        classes, labels = _read_classes(config.classes)
    pairs = {split: _tree_pairs(root, split) for split in SPLITS}
    return FileSet(class_names=classes, labels=labels, pairs=pairs)


def _images_in(folder: Path, pattern: str = "*") -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"folder of images is missing: {folder}")
    found = [path for path in folder.glob(pattern) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise DataError(f"folder holds no {', '.join(IMAGE_SUFFIXES)} image: {folder}")
    return sorted(found)


def _paired(image: Path, mask: Path) -> tuple[Path, Path]:
    if not mask.is_file():
        raise DataError(f"image {image} has no mask; expected {mask}")
    return image, mask


def _tree_pairs(root: Path, split: str) -> tuple[tuple[Path, Path], ...]:
    masks = root / "annotations" / split
    images = _images_in(root / "images" / split)
    for one, other in pairwise(images):
        if one.stem == other.stem:
            raise DataError(f"images {one} and {other.name} would share one mask; remove one")
    return tuple(_paired(image, masks / f"{image.stem}.png") for image in images)


def _cityscapes_pairs(root: Path, split: str) -> tuple[tuple[Path, Path], ...]:
    ending = "_leftImg8bit.png"
    pairs = []
    for image in _images_in(root / "leftImg8bit" / split, f"*/*{ending}"):
        name = image.name.removesuffix(ending) + "_gtFine_labelIds.png"
        pairs.append(_paired(image, root / "gtFine" / split / image.parent.name / name))
    return tuple(pairs)


def _plain_labels(num_classes: int, ignore: int) -> LabelMap:
    allowed = f"0 to {num_classes - 1}, and {ignore} for ignored pixels"
    return LabelMap.of({label: label for label in range(num_classes)}, [ignore], allowed)


class _ClassFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    classes: Annotated[list[str], Field(min_length=1, max_length=255)]
    ignore: Annotated[int, Field(ge=0, le=255)] = IGNORE_INDEX


def _read_classes(path: Path) -> tuple[tuple[str, ...], LabelMap]:
    try:
        parsed = _ClassFile.model_validate(load_yaml(path.expanduser()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"cannot read classes file {path}: {' '.join(str(error).split())}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise DataError(f"classes file {path}: {where}: {first['msg']}") from error
    if parsed.ignore < len(parsed.classes):
        raise DataError(
            f"classes file {path}: ignore must be none of the {len(parsed.classes)} class values,"
            f" got {parsed.ignore}"
        )
    if len(set(parsed.classes)) < len(parsed.classes):
        raise DataError(f"classes file {path}: two classes have the same name")
    return tuple(parsed.classes), _plain_labels(len(parsed.classes), parsed.ignore)


CAMVID_CLASSES: tuple[str, ...] = (
    "sky",
    "building",
    "pole",
    "road",
    "pavement",
    "tree",
    "sign",
    "fence",
    "car",
    "pedestrian",
    "bicyclist",
)

_CITYSCAPES = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""Label id -> name of the classes that are scored, in the order of their train ids."""

CITYSCAPES_CLASSES = tuple(_CITYSCAPES.values())
CITYSCAPES_LABELS = LabelMap.of(
    {value: label for label, value in enumerate(_CITYSCAPES)},
    # 255 stands for -1, the licence plates, in masks that keep them.
    ignored=[*range(34), 255],
    allowed="the label ids 0 to 33, and 255",
)

_ADE20K = """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk,
person, earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf,
house, sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, bathtub,
railing, cushion, base, box, column, signboard, chest of drawers, counter, sand, sink,
skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill,
bench, countertop, stove, palm, kitchen island, computer, swivel chair, boat, bar,
arcade machine, hovel, bus, towel, light, truck, tower, chandelier, awning, streetlight, booth,
television receiver, airplane, dirt track, apparel, pole, land, bannister, escalator, ottoman,
bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food,
step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket,
sculpture, hood, sconce, vase, traffic light, tray, ashcan, fan, pier, crt screen, plate,
monitor, bulletin board, shower, radiator, glass, clock, flag
"""
ADE20K_CLASSES = tuple(name.strip() for name in _ADE20K.split(","))
