"""ADE20K (Zhou et al., CVPR 2017), as of the scene parsing challenge: 150 classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..labels import LabelMap
from .base import FileSet, Layout
from .pairing import tree_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAMES = """
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
CLASSES = tuple(name.strip() for name in NAMES.split(","))
INNER = "ADEChallengeData2016"
REDUCED = "labels that were reduced already (0 is wall) are off by one; use the release's masks"
LABELS = LabelMap(
    classes={value: value - 1 for value in range(1, len(CLASSES) + 1)},
    ignored=(0,),
    allowed="0 to 150",
    suspicions={255: REDUCED},
)
FOLDERS = {"train": "training", "val": "validation"}


def find(root: Path) -> FileSet:
    """The root is `ADEChallengeData2016` or the folder above; 0 is ignored, k is class k - 1."""
    inner = root / INNER
    root = inner if inner.is_dir() else root
    return FileSet(
        class_names=CLASSES,
        labels=LABELS,
        splits={split: tree_split(root, folder) for split, folder in FOLDERS.items()},
        suspect=suspect,
    )


def suspect(pixels: NDArray[np.int64]) -> str | None:
    """Labels that were reduced, without ignored pixels.

    They end at 149, and 0 is wall, the commonest class, where the release's 0 is what has none.
    """
    ends_early = pixels[len(CLASSES) - 1] > 0 and not pixels[len(CLASSES) :].any()
    if ends_early and pixels[0] > pixels[1]:
        return f"its masks end at 149, and hold more of 0 than of 1 (wall): {REDUCED}"
    return None


LAYOUT = Layout(
    root="`ADEChallengeData2016/images/{training,validation}`, `annotations/...`",
    find=find,
    labels=LABELS,
)
