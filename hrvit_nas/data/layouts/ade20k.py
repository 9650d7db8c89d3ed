"""ADE20K (Zhou et al., CVPR 2017), as of the scene parsing challenge: 150 classes."""

from __future__ import annotations

from pathlib import Path

from ..labels import LabelMap
from .base import FileSet, Layout, tree_pairs

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
FOLDERS = {"train": "training", "val": "validation"}


def find(root: Path) -> FileSet:
    """The root is `ADEChallengeData2016` or the folder above; 0 is ignored, k is class k - 1."""
    inner = root / INNER
    root = inner if inner.is_dir() else root
    return FileSet(
        class_names=CLASSES,
        labels=LabelMap({k: k - 1 for k in range(1, 151)}, (0,), "0 to 150"),
        pairs={split: tree_pairs(root, folder) for split, folder in FOLDERS.items()},
    )


LAYOUT = Layout(
    root="`ADEChallengeData2016/images/{training,validation}`, `annotations/...`",
    find=find,
)
