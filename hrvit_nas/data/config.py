"""Which data set to read, and how to augment it. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .layouts import LAYOUTS, Task

if TYPE_CHECKING:
    DataName = str
else:  # where pydantic refuses any other name
    DataName = Literal[tuple(LAYOUTS)]
PositiveInt = Annotated[int, Field(ge=1)]
Size = tuple[PositiveInt, PositiveInt]

MOST_DELAY_S = 86_400


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Config):
    """One data set.

    Attributes:
        name: One of `hrvit_nas.data.layouts.LAYOUTS`, which describes the folders that each of
            them expects; `scenes` and `drawn_classes` are drawn here and need no files, and with
            `none` nothing is trained.
        root: Folder of the data set; unset for those drawn and `none`.
        image_size: Height and width that every image and mask is brought to, once, when
            the set is loaded; unset keeps them as stored (96x128 for `scenes`). For
            classification, what images of the validation are brought to, and those drawn.
        classes: YAML file with the classes of a `folder` set.
        num_train: Number of training images (drawn sets only).
        num_val: Number of validation images (drawn sets only).
        seed: Seed of the drawing (drawn sets), or of the objective (`none`).
        noise: Standard deviation of a score between seeds, a fraction of mIoU (`none` only).
        delay_s: Seconds that a trial takes (`none` only).
        failure_rate: Share of the trials that fail (`none` only).
    """

    name: DataName = "scenes"
    root: Path | None = None
    image_size: Size | None = None
    classes: Path | None = None
    num_train: Annotated[int, Field(ge=1, le=1_000_000)] = 800
    num_val: PositiveInt = 200
    seed: Annotated[int, Field(ge=0)] = 0
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    delay_s: Annotated[float, Field(ge=0, le=MOST_DELAY_S)] = 0.0
    failure_rate: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def synthetic(self) -> bool:
        """Whether there are no images, and scores are of a synthetic objective."""
        return not LAYOUTS[self.name].images

    @property
    def task(self) -> Task:
        """What its images are labelled for."""
        return LAYOUTS[self.name].task

    @property
    def stored(self) -> bool:
        """Whether it lies in files of the user's, which may hold anything."""
        return "root" in LAYOUTS[self.name].reads

    @property
    def title(self) -> str:
        """What scores are of, in words."""
        return "a synthetic objective" if self.synthetic else self.name

    @classmethod
    def rooted(cls, fields: Mapping[str, Any], root: Path = Path()) -> Self:
        """A data set from what `without_root` says of it, at another place."""
        layout = LAYOUTS.get(fields.get("name", cls.model_fields["name"].default))
        placed = layout is not None and "root" in layout.reads
        return cls.model_validate({**fields, **({"root": root} if placed else {})})

    def without_root(self) -> dict[str, Any]:
        """What the set is, wherever it lies, as plain data."""
        return self.model_dump(mode="json", exclude={"root"})

    @model_validator(mode="after")
    def _check_fields_fit_name(self) -> Self:
        reads = LAYOUTS[self.name].reads
        if "root" in reads and self.root is None:
            raise ValueError(f"data set {self.name!r} needs root, the folder it lies in")
        if ("classes" in reads) != (self.classes is not None):
            readers = [name for name, layout in LAYOUTS.items() if "classes" in layout.reads]
            raise ValueError(
                "classes, the YAML file of class names, goes with"
                f" {' or '.join(f'name={name!r}' for name in readers)} and no other;"
                f" got name={self.name!r} and classes={str(self.classes)!r}"
            )
        for name, field in type(self).model_fields.items():
            read = name in ("name", "image_size", *reads)
            if not read and getattr(self, name) != field.default:
                raise ValueError(f"data set {self.name!r} does not read {name}; leave it unset")
        return self


class AugmentConfig(_Config):
    """Joint random transforms of an image and its labels, in the order they are applied.

    Attributes:
        scale: Bounds of the factor that height and width are multiplied with.
        crop_size: Height and width of what the network sees; a scaled image that is smaller
            is padded (mean colour, ignored label). Unset: the size of the stored image.
        max_class_share: A crop is drawn again, up to ten times, while one class fills this
            share of its labelled pixels or more; 1 turns that off.
        class_balance: Probability that a crop is made to hold a pixel of a class drawn from those
            in the image, all alike, so that rare classes are seen more often.
        flip: Probability of a horizontal flip.
        photometric: Strength of the photometric distortion, from 0 (none) to 1 (the usual
            deltas: brightness 32, contrast and saturation 0.5 to 1.5, hue 18 degrees of 180).
    """

    scale: tuple[float, float] = (0.5, 2.0)
    crop_size: Size | None = None
    max_class_share: Annotated[float, Field(gt=0, le=1)] = 0.75
    class_balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    photometric: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _check_scale(self) -> Self:
        low, high = self.scale
        if not 0 < low <= high < float("inf"):
            raise ValueError(
                f"scale must be two positive factors, low then high, got {low}, {high}"
            )
        return self


class RandAugmentConfig(_Config):
    """RandAugment (Cubuk et al., CVPR 2020): operations drawn for each image, all alike strong.

    Attributes:
        operations: How many are applied to an image, one after the other.
        magnitude: How strong they are, from 0 to 10, the strongest.
        deviation: Standard deviation of the magnitude, drawn anew for each operation.
    """

    operations: PositiveInt = 2
    magnitude: Annotated[float, Field(ge=0, le=10)] = 9.0
    deviation: Annotated[float, Field(ge=0, le=10)] = 0.5


class ImageAugmentConfig(_Config):
    """Random transforms of an image that has one class, in the order they are applied.

    Attributes:
        crop_size: Height and width that a random part of the image is brought to: what the network
            sees.
        area: Bounds of the part's share of the image's area.
        aspect: Bounds of its width over its height, drawn evenly over their logarithm.
        flip: Probability of a horizontal flip.
        rand_augment: Further operations; None = none.
        erasing: Probability that a rectangle becomes noise (Zhong et al., AAAI 2020).
    """

    crop_size: Size
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: Annotated[float, Field(ge=0, le=1)] = 0.5
    rand_augment: RandAugmentConfig | None = None
    erasing: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        for name, highest in (("area", 1.0), ("aspect", float("inf"))):
            low, high = getattr(self, name)
            if not 0 < low <= high <= highest or high == float("inf"):
                limit = f" and at most {highest:g}" if highest == 1 else ""
                raise ValueError(
                    f"{name} must be two factors above 0{limit}, low then high, got {low}, {high}"
                )
        return self
