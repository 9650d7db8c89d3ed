"""What the classes, colours and labels of a data set are, to travel with a network's weights."""

from __future__ import annotations

from collections.abc import Sequence

from ..models import Description
from .config import DataConfig
from .labels import IGNORE_INDEX, Colour, LabelMap
from .layouts import LAYOUTS
from .sheet import label_colours
from .transforms import DEVIATION, MEAN


def describe(class_names: Sequence[str], data: DataConfig | None = None) -> Description:
    """Describes what a network that was trained here reads and returns.

    Args:
        class_names: Name of each class, by label.
        data: The data set that it was trained on; its images need not be there. None = not known,
            and so are its label rules.
    """
    names = tuple(class_names)
    labels = None if data is None else _labels(data, len(names))
    return Description(
        class_names=names,
        palette=_palette(names, labels),
        mean=MEAN,
        deviation=DEVIATION,
        label_rule="which values masks stored is not known" if labels is None else _rule(labels),
        label_values=() if labels is None else tuple(sorted(labels.classes.items())),
        ignore_index=IGNORE_INDEX,
        data="" if data is None else data.name,
    )


def describe_images(class_names: Sequence[str], data: DataConfig) -> Description:
    """Describes what a classifier that was trained here reads and returns.

    Args:
        class_names: Name of each class, by label.
        data: The data set that it was trained on.
    """
    return Description(
        class_names=tuple(class_names),
        palette=(),
        mean=MEAN,
        deviation=DEVIATION,
        label_rule="an image has one class",
        ignore_index=None,
        data=data.name,
    )


def _palette(names: tuple[str, ...], labels: LabelMap | None) -> tuple[Colour, ...]:
    """Colours that classes are drawn in: those that their masks have, where these are coloured."""
    drawn = label_colours(names)[: len(names)].tolist()
    stored = {} if labels is None or labels.colours is None else labels.colours
    own = {label: colour for colour, label in list(stored.items())[::-1]}
    return tuple(own.get(label, (r, g, b)) for label, (r, g, b) in enumerate(drawn))


def _rule(labels: LabelMap) -> str:
    if labels.colours is not None:
        return "masks are coloured; a class is the place of its colour in the palette"
    plain = all(value == label for value, label in labels.classes.items())
    which = "a class is its value" if plain else "a class is what label_values makes of its value"
    return f"stored values are {labels.allowed}; {which}"


def _labels(data: DataConfig, num_classes: int) -> LabelMap | None:
    labels = LAYOUTS[data.name].labels
    if labels is None and data.classes is not None and data.classes.is_file():
        from .class_file import read_classes

        labels = read_classes(data.classes)[1]
    if labels is None:
        return None
    found = labels.classes if labels.colours is None else labels.colours
    classes = {label for label in found.values() if label != IGNORE_INDEX}
    # Of another number, the set has changed since.
    return labels if len(classes) == num_classes else None
