"""Reads the YAML file of a `folder` set: its classes, and what its masks hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from .._files import load_yaml
from .._messages import close_to, first_fault, shown
from .labels import IGNORE_INDEX, Colour, DataError, LabelMap

IGNORE = "ignore"
"""What stands for a class in `map` and `palette` where pixels are ignored."""
LARGEST = 255


def _colour(text: str) -> str:
    digits = text.removeprefix("#")
    if len(digits) != 6 or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise ValueError(f"a colour must be [red, green, blue] or '#rrggbb', got {text!r}")
    return text


Value = Annotated[int, Field(strict=True, ge=0, le=LARGEST)]
Hex = Annotated[str, AfterValidator(_colour)]


class ClassFile(BaseModel):
    """What a classes file says.

    Attributes:
        classes: Names of the classes, by label.
        ignore_index: The value of pixels that are neither trained on nor scored; 255 unless `map`
            gives that a class, or masks are coloured. `ignore` is its earlier name.
        reduce_zero_label: Whether 0 is ignored and 1 is the first class.
        map: What each stored value is: a class, by number or name, or `ignore`.
        palette: Colours of masks that are coloured: one a class, in their order, or what each
            colour, as `#rrggbb`, is, as in `map`.
    """

    model_config = ConfigDict(extra="forbid")

    classes: Annotated[list[str], Field(min_length=1, max_length=LARGEST)]
    ignore_index: Value | None = None
    reduce_zero_label: bool = False
    map: Annotated[dict[Value, Value | str], Field(min_length=1)] | None = None
    palette: list[tuple[Value, Value, Value] | Hex] | dict[Hex, Value | str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_name(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "ignore" not in fields:
            return fields
        if "ignore_index" in fields:
            raise ValueError("ignore is the earlier name of ignore_index; give one of them")
        return {("ignore_index" if name == "ignore" else name): v for name, v in fields.items()}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if twice := sorted({name for name in self.classes if self.classes.count(name) > 1}):
            raise ValueError(f"two classes have the same name: {', '.join(twice)}")
        given = [name for name in ("reduce_zero_label", "map", "palette") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give {' or '.join(given)}, not both; got both")
        if self.palette is not None and self.ignore_index is not None:
            raise ValueError(
                "ignore_index is a value, and masks with a palette have none; got both"
            )
        if isinstance(self.palette, list) and len(self.palette) != len(self.classes):
            raise ValueError(
                f"palette must have a colour for each of the {len(self.classes)} classes, got"
                f" {len(self.palette)}"
            )
        return self

    def label_map(self) -> LabelMap:
        """What the values, or colours, of the masks become.

        Raises:
            ValueError: A value or colour has no class, or two.
        """
        if self.palette is not None:
            return LabelMap({}, (), "the colours of the palette", colours=self._colours())
        ignore = IGNORE_INDEX if self.ignore_index is None else self.ignore_index
        if self.map is not None:
            return self._mapped(self.map, ignore)
        if self.reduce_zero_label:
            return self._reduced(ignore)
        count = len(self.classes)
        if ignore < count:
            hint = "; where 0 is ignored and 1 the first class, give reduce_zero_label: true"
            raise ValueError(
                f"ignore_index must be none of the {count} class values, got {ignore}"
                f"{'' if ignore else hint}"
            )
        from_one = "for labels that begin at 1, give reduce_zero_label: true in the classes file"
        return LabelMap.plain(count, ignore, {count: from_one})

    def _mapped(self, mapping: Mapping[int, int | str], ignore: int) -> LabelMap:
        found = {value: self._label(f"map: {value}", target) for value, target in mapping.items()}
        if self.ignore_index is not None and found.get(ignore, IGNORE_INDEX) != IGNORE_INDEX:
            raise ValueError(f"map gives a class to {ignore}, which ignore_index ignores")
        classes = {value: label for value, label in found.items() if label != IGNORE_INDEX}
        if missing := set(range(len(self.classes))) - set(classes.values()):
            raise ValueError(f"map gives no value to the class {self.classes[min(missing)]!r}")
        ignored = {value for value in found if value not in classes} | {ignore}
        allowed = ", ".join(map(str, sorted({*found, ignore})))
        return LabelMap(classes, tuple(sorted(ignored)), f"{allowed}, as map says")

    def _reduced(self, ignore: int) -> LabelMap:
        count = len(self.classes)
        if 1 <= ignore <= count:
            raise ValueError(
                f"ignore_index must be none of the class values 1 to {count}, got {ignore}"
            )
        return LabelMap(
            classes={value: value - 1 for value in range(1, count + 1)},
            ignored=(0, ignore),
            allowed=f"1 to {count}, and 0 or {ignore} for ignored pixels",
        )

    def _colours(self) -> dict[Colour, int]:
        if isinstance(self.palette, dict):
            colours = [_as_colour(key) for key in self.palette]
            labels = [self._label(f"palette: {key}", what) for key, what in self.palette.items()]
        else:
            colours = [_as_colour(colour) for colour in self.palette or ()]
            labels = list(range(len(colours)))
        found = dict(zip(colours, labels, strict=True))
        if len(found) < len(colours):
            twice = next(colour for colour in colours if colours.count(colour) > 1)
            raise ValueError(f"palette has the colour {list(twice)} twice")
        if missing := set(range(len(self.classes))) - set(found.values()):
            raise ValueError(f"palette gives no colour to the class {self.classes[min(missing)]!r}")
        return found

    def _label(self, where: str, target: int | str) -> int:
        if target == IGNORE:
            return IGNORE_INDEX
        if isinstance(target, str):
            if target in self.classes:
                return self.classes.index(target)
            hint = close_to(target, [*self.classes, IGNORE])
            raise ValueError(f"{where} must be a class or {IGNORE!r}, got {target!r}{hint}")
        if target >= len(self.classes):
            raise ValueError(
                f"{where} must be a class, 0 to {len(self.classes) - 1}, or {IGNORE!r}, got"
                f" {target}"
            )
        return target


def _as_colour(colour: tuple[int, int, int] | str) -> Colour:
    if isinstance(colour, tuple):
        return colour
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def read_classes(path: Path) -> tuple[tuple[str, ...], LabelMap]:
    """Names of the classes, by label, and what the values of masks become.

    Raises:
        DataError: The file cannot be read, or its content is wrong.
    """
    try:
        content = load_yaml(path.expanduser())
        if not isinstance(content, dict):
            raise ValueError(f"it must hold classes: [names], got {shown(content)}")
        parsed = ClassFile.model_validate(content)
        return tuple(parsed.classes), parsed.label_map()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(
            f"cannot read classes file {path}: {' '.join(str(error).split())}"
        ) from error
    except ValidationError as error:
        raise DataError(f"classes file {path}: {first_fault(error, model=ClassFile)}") from error
    except ValueError as error:
        raise DataError(f"classes file {path}: {error}") from error
