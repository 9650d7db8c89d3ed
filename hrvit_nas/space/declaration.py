"""Reads the YAML declaration of a space; every complaint names the file and the line.

A declaration holds:

    schema_version: 1
    description: what varies, and why
    base: hrvit_b1                  # or {arch: hrvit_b1, width_factor: 0.25}, or a .json file
    extends: [other_space]          # all genes, constraints and limits of other spaces
    genes:                          # modules and branches count from 1; * stands for all
      width_1: {field: "modules.*.branches.1.width", choices: [16, 32]}
      ratio_1:
        field: "modules.*.branches.1.expansion_ratio"
        choices: [2, 4]
        when: {width_1: [16]}       # else the base's value
    narrow: {width_2: [32, 64]}     # fewer choices for genes of the spaces extended
    constraints:
      - nondecreasing: [width_1, width_2]
      - forbid: {width_1: [16], width_2: [64]}
    limits:                         # hard, both bounds included
      - {metric: macs, max: 2.0e+10, image_size: [512, 512], num_classes: 19}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hrvit_nas._files import declarations_dir
from hrvit_nas._messages import close_to, one_line
from hrvit_nas.arch import ArchError, ArchSpec, get_hrvit, scale_widths

from .genes import Constraint, Forbid, Gene, Nondecreasing, SpaceError, Value, holds
from .limits import Limit
from .space import Space

SCHEMA_VERSION = 1

LONGEST_FAULT = 220
"""Characters of what is said beside the file and the line."""

At = tuple[str | int, ...]
Lines = dict[At, int]


def _choice(value: object) -> object:
    if not isinstance(value, int | str):
        raise ValueError(f"a choice must be a whole number, true, false or a word, got {value!r}")
    return value


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Choice = Annotated[Any, BeforeValidator(_choice)]
Choices = Annotated[list[Choice], Field(min_length=1)]


class _ScaledBase(_Strict):
    arch: str
    width_factor: float = Field(default=1.0, gt=0, le=16)


class _GeneItem(_Strict):
    field: str
    choices: Choices
    when: dict[str, Choices] = {}


class _ConstraintItem(_Strict):
    nondecreasing: list[str] | None = None
    forbid: dict[str, Choices] | None = None


class _Declaration(_Strict):
    schema_version: int
    description: str = ""
    base: Annotated[
        _ScaledBase | None, BeforeValidator(lambda v: {"arch": v} if isinstance(v, str) else v)
    ] = None
    extends: Annotated[list[str], BeforeValidator(_names)] = []
    genes: dict[str, _GeneItem] = {}
    narrow: dict[str, Choices] = {}
    constraints: list[_ConstraintItem] = []
    limits: list[Annotated[Limit, Field(strict=False)]] = []


@dataclass(frozen=True)
class _Source:
    """A declaration's file and the lines of its parts."""

    path: Path
    lines: Lines

    def error(self, message: str, at: At = ()) -> SpaceError:
        """An error at the innermost part of a path of keys whose line is known."""
        while at and at not in self.lines:
            at = at[:-1]
        line = self.lines.get(at, 1)
        return SpaceError(f"{self.path.name}:{line}: {one_line(message, LONGEST_FAULT)}")


def list_spaces() -> tuple[str, ...]:
    """Names of the spaces that ship with the package."""
    return tuple(sorted(path.stem for path in declarations_dir("search_spaces").glob("*.yaml")))


def load_space(name_or_path: str | Path) -> Space:
    """Loads a search space.

    Args:
        name_or_path: Name of a space that ships with the package, or the path of a declaration
            (a `Path`, or a string that ends with `.yaml` or holds a separator).

    Raises:
        SpaceError: There is no such space, or its declaration is at fault; the message names
            the file and line.
    """
    return _load(_find(name_or_path), ())[0]


def _find(name_or_path: str | Path, beside: Path | None = None) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text:
        path = Path(text) if beside is None else beside / text
        if not path.is_file():
            raise SpaceError(f"no search space file at {path}")
        return path
    for folder in filter(None, (beside, declarations_dir("search_spaces"))):
        if (folder / f"{text}.yaml").is_file():
            return folder / f"{text}.yaml"
    hint = close_to(text, list_spaces())
    raise SpaceError(f"no search space is called {text!r}; known: {', '.join(list_spaces())}{hint}")


def _load(path: Path, below: tuple[Path, ...]) -> tuple[Space, dict[str, tuple[_Source, At]]]:
    """Loads a declaration and what it extends.

    Returns:
        The space, and for each of its genes the source and path of keys that declare it.
    """
    source, item = _read(path)
    if item.schema_version != SCHEMA_VERSION:
        raise source.error(
            f"schema_version must be {SCHEMA_VERSION}, got {item.schema_version}",
            ("schema_version",),
        )
    merged = _extended(item, source, below)
    base = _base(item, source) or merged.base
    if base is None:
        raise source.error("base is missing: name an architecture, or a space to extend")
    inherited = len(merged.constraints)
    _add_genes(merged, item, source)
    _add_constraints(merged, item, source)
    try:
        space = Space(
            name=path.stem,
            base=base,
            genes=tuple(merged.genes.values()),
            constraints=tuple(merged.constraints),
            limits=(*merged.limits, *item.limits),
            narrowing=tuple(merged.narrowing),
            description=" ".join(item.description.split()),
        )
        if item.narrow:
            space = space.narrow({n: tuple(c) for n, c in item.narrow.items()}, by=path.stem)
    except SpaceError as error:
        fault, where = source, error.at
        match error.at:
            case ("genes", str(name), *rest) if name in merged.origins:
                fault, prefix = merged.origins[name]
                where = (*prefix, *rest)
            case ("constraints", int(position), *_):
                where = ("constraints", position - inherited) if position >= inherited else ()
        raise fault.error(str(error), where) from error
    return space, merged.origins


def _extended(item: _Declaration, source: _Source, below: tuple[Path, ...]) -> _Merged:
    """What a declaration has from the spaces it extends."""
    merged, path = _Merged(), source.path
    for position, name in enumerate(item.extends):
        try:
            parent_path = _find(name, path.parent)
        except SpaceError as error:
            raise source.error(str(error), ("extends", position)) from error
        if parent_path.resolve() in (p.resolve() for p in (*below, path)):
            chain = " -> ".join(p.stem for p in (*below, path, parent_path))
            raise source.error(f"extends goes in a circle: {chain}", ("extends", position))
        merged.add(*_load(parent_path, (*below, path)), source, ("extends", position))
    return merged


def _add_genes(merged: _Merged, item: _Declaration, source: _Source) -> None:
    """Adds a declaration's own genes, whose conditions may name any of them."""
    for name, gene in item.genes.items():
        at: At = ("genes", name)
        if name in merged.genes:
            raise source.error(
                f"gene {name!r} already stands in {merged.origins[name][0].path.name}; to have"
                " fewer choices, use narrow",
                at,
            )
        when = tuple((parent, tuple(choices)) for parent, choices in gene.when.items())
        merged.genes[name] = Gene(
            name=name, field=gene.field, choices=tuple(gene.choices), when=when
        )
        merged.origins[name] = (source, at)
    for name, gene in item.genes.items():
        for parent, choices in gene.when.items():
            _check_known(merged.genes, parent, choices, source, ("genes", name, "when"))


def _add_constraints(merged: _Merged, item: _Declaration, source: _Source) -> None:
    for position, constraint in enumerate(item.constraints):
        merged.constraints.append(_constraint(constraint, position, source))
        for name, choices in (constraint.forbid or {}).items():
            _check_known(merged.genes, name, choices, source, ("constraints", position, "forbid"))


class _Merged:
    """What a declaration has from the spaces it extends."""

    def __init__(self) -> None:
        self.base: ArchSpec | None = None
        self.genes: dict[str, Gene] = {}
        self.constraints: list[Constraint] = []
        self.limits: list[Limit] = []
        self.narrowing: list[Any] = []
        self.origins: dict[str, tuple[_Source, At]] = {}

    def add(
        self, space: Space, origins: dict[str, tuple[_Source, At]], source: _Source, at: At
    ) -> None:
        self.base = self.base or space.base
        for gene in space.genes:
            if self.genes.setdefault(gene.name, gene) != gene:
                raise source.error(
                    f"gene {gene.name!r} of {space.name} differs from that of"
                    f" {self.origins[gene.name][0].path.stem}",
                    at,
                )
        self.origins = {**origins, **self.origins}
        self.constraints += [c for c in space.constraints if c not in self.constraints]
        self.limits += [limit for limit in space.limits if limit not in self.limits]
        self.narrowing += [record for record in space.narrowing if record not in self.narrowing]


def _base(item: _Declaration, source: _Source) -> ArchSpec | None:
    if item.base is None:
        return None
    try:
        arch = _find_arch(item.base.arch, source.path.parent)
        factor = item.base.width_factor
        return arch if factor == 1 else scale_widths(arch, factor)
    except ArchError as error:
        raise source.error(f"base: {error}", ("base",)) from error


def _find_arch(name: str, folder: Path) -> ArchSpec:
    """A preset, or an architecture in a `.json` file beside the declaration."""
    if not name.endswith(".json"):
        return get_hrvit(name)
    try:
        return ArchSpec.from_json((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise ArchError(f"{folder / name} cannot be read: {error.strerror}") from error


def _constraint(item: _ConstraintItem, position: int, source: _Source) -> Constraint:
    match item.nondecreasing, item.forbid:
        case list(names), None:
            return Nondecreasing(tuple(names))
        case None, dict(choices):
            return Forbid(tuple((name, tuple(values)) for name, values in choices.items()))
        case _:
            raise source.error(
                "a constraint is one of nondecreasing and forbid", ("constraints", position)
            )


def _check_known(
    genes: dict[str, Gene], name: str, choices: Sequence[Value], source: _Source, at: At
) -> None:
    """Conditions and constraints may name only genes and choices that are there."""
    if name not in genes:
        raise source.error(
            f"{name!r} is no gene of this space; known: {', '.join(genes)}", (*at, name)
        )
    for position, choice in enumerate(choices):
        known = genes[name].choices
        if not holds(known, choice):
            raise source.error(
                f"{choice!r} is no choice of gene {name!r}; its choices are"
                f" {', '.join(map(repr, known))}",
                (*at, name, position),
            )


# YAML to plain data and lines, then to a declaration


def _read(path: Path) -> tuple[_Source, _Declaration]:
    source = _Source(path, {})
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path.name}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        raise SpaceError(f"{path.name}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"{path.name}:1: not YAML: {' '.join(str(error).split())}") from error
    data = None if root is None else _plain(root, (), source)
    if not isinstance(data, dict):
        raise source.error("a declaration must be a mapping of keys")
    try:
        return source, _Declaration.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise source.error(_message(first), first["loc"]) from error


def _plain(node: yaml.Node, at: At, source: _Source) -> Any:
    """Plain data of a node; notes the line of every part."""
    source.lines.setdefault(at, node.start_mark.line + 1)
    if len(at) > 8:
        raise source.error("too deep, or an anchor within itself", at)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, (*at, n), source) for n, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        data: dict[str, Any] = {}
        for key_node, child in node.value:
            key = _plain(key_node, (*at, ""), source)
            del source.lines[(*at, "")]
            if not isinstance(key, str):
                source.lines[at] = key_node.start_mark.line + 1
                raise source.error(f"a key must be a word, got {key!r}", at)
            source.lines[(*at, key)] = key_node.start_mark.line + 1
            if key in data:
                raise source.error(f"key {key!r} stands twice", (*at, key))
            data[key] = _plain(child, (*at, key), source)
        return data
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        problem = getattr(error, "problem", None) or str(error)
        raise source.error(f"cannot be read: {problem}", at) from error


def _message(error: Any) -> str:
    """One line for a structural error, with the gene it is in and what is allowed."""
    loc: At = error["loc"]
    model: type[BaseModel] = _Declaration
    match loc:
        case ("base", *_):
            model = _ScaledBase
        case ("genes", _, *_):
            model = _GeneItem
        case ("constraints", _, *_):
            model = _ConstraintItem
        case ("limits", _, *_):
            model = Limit
    prefix = f"gene {loc[1]!r}: " if loc[0] == "genes" and len(loc) > 1 else ""
    where = ".".join(str(part) for part in (loc[2:] if prefix else loc))
    match error["type"]:
        case "extra_forbidden":
            known = list(model.model_fields)
            hint = close_to(str(loc[-1]), known)
            return f"{prefix}unknown key {loc[-1]!r}; known: {', '.join(known)}{hint}"
        case "missing":
            return f"{prefix}{loc[-1]} is missing"
        case "value_error":
            reason = str(error["ctx"]["error"])
        case _:
            reason = f"{error['msg'].lower()}, got {error['input']!r}"
    return f"{prefix}{where}: {reason}"
