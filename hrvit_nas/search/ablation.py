"""Ablation plans: a base architecture, changes of it, and what is compared with what.

A plan (`experiments/ablations/NAME.yaml`) holds:

    description: what is asked
    base: hrvit_b1                # a preset; left out, the command line names it
    design: leave_one_out         # add_one_in, factorial, sweep
    changes:
      des:
        description: without the diversity-enhanced shortcut
        set: {"modules.*.branches.*.shortcut": identity}     # patterns as in a space's genes
        published: {params: 8.14 M, cityscapes_miou: lower}  # shown beside, never mixed
      rival: {arch: cswin_ti}     # another architecture instead of edits
    sweep: {field: "modules.*.branches.*.strip_width", values: [1, 2, 4]}   # design sweep alone
    equal_macs: false             # true: each changed one is brought to the base's multiply-adds
    notes: [what a reader of the costs should know]
    num_classes: 19               # of the published figures, for the costs at full scale
    seeds: 3
    profile, recipe, data: names, where the command line gives none

Every arm that differs from the base in cost gets a control: the base with its widths shrunk or
grown to the arm's multiply-adds, so that a part is not praised for its size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from .._files import declarations_dir
from .._messages import close_to
from ..arch import (
    PRESETS,
    Arch,
    ArchError,
    ArchSpec,
    get_arch,
    parse_arch,
    scale_to_cost,
    scale_widths,
)
from ..data.config import DataName
from ..results import TrialStore, summarise
from ..results.ablation import EQUAL_COST
from ..space import Gene, Space, SpaceError, Value, apply_edits, edited_fields
from ..space.genes import Target
from .ablation_config import Arm, Fact, Text, check_seeds
from .config_parts import ConfigError, Frozen
from .profiles import declaration_names, load_declaration
from .stored import read_config

MOST_FACTORS = 6
"""Changes of a factorial design at most: twice as many arms with each."""
BASE = "base"

_NAME = re.compile(r"[\w.-]+", re.ASCII)

Design = Literal["leave_one_out", "add_one_in", "factorial", "sweep"]


class Change(Frozen):
    """One named change of the base.

    Attributes:
        description: What it means, for a reader.
        edits: Fields that it sets, by pattern; `set` in a file.
        arch: A preset that takes the base's place, instead of edits.
        published: Published figures, as text, to stand beside what is measured.
    """

    description: str = ""
    edits: Mapping[str, Value] = Field(default={}, alias="set")
    arch: str | None = None
    published: Mapping[Fact, Text] = {}

    @model_validator(mode="after")
    def _check(self) -> Change:
        if bool(self.edits) == (self.arch is not None):
            raise ValueError("a change must have either 'set' with at least one field, or 'arch'")
        if self.arch is not None:
            get_arch(self.arch)
        return self


class Sweep(Frozen):
    """One field, or one pattern of fields, and the values that it takes in turn."""

    field: str
    values: tuple[Value, ...] = Field(min_length=1)


class AblationPlan(Frozen):
    """What an ablation asks; the module's head says what each key means."""

    description: str
    base: str | None = None
    design: Design = "leave_one_out"
    changes: Mapping[str, Change] = {}
    sweep: Sweep | None = None
    equal_macs: bool = False
    published: Mapping[Fact, Text] = {}
    notes: tuple[str, ...] = ()
    num_classes: int = Field(default=19, ge=1)
    seeds: int = 3
    profile: str | None = None
    recipe: str | None = None
    data: DataName | None = None

    @model_validator(mode="after")
    def _check(self) -> AblationPlan:
        check_seeds(self.seeds)
        if (self.design == "sweep") != (self.sweep is not None):
            raise ValueError("design sweep, and no other, must have a 'sweep'")
        if (self.design == "sweep") == bool(self.changes):
            raise ValueError("a plan must have 'changes', or 'sweep' where that is its design")
        if self.design == "factorial" and len(self.changes) > MOST_FACTORS:
            raise ValueError(
                f"a factorial design must have at most {MOST_FACTORS} changes, got"
                f" {len(self.changes)}"
            )
        if self.design in ("add_one_in", "factorial"):
            for name, change in self.changes.items():
                if change.arch is not None:
                    raise ValueError(
                        f"changes are combined in design {self.design}, so that {name!r} cannot be"
                        " another architecture; give it 'set'"
                    )
        for name in self.changes:
            if name == BASE or not _NAME.fullmatch(name):
                raise ValueError(
                    "a change must be called by letters, digits, _, - or ., and not 'base';"
                    f" got {name!r}"
                )
        return self

    def of_another_base(self) -> AblationPlan:
        """The plan without published figures, which are those of its own base."""
        changes = {
            name: change.model_copy(update={"published": {}})
            for name, change in self.changes.items()
        }
        return self.model_copy(update={"changes": changes, "published": {}, "notes": ()})

    def only(self, names: tuple[str, ...]) -> AblationPlan:
        """The plan with some of its changes.

        Raises:
            ConfigError: None is named, it has no change of that name, or has a sweep.
        """
        if not names:
            raise ConfigError(f"name changes of the plan to look at: {', '.join(self.changes)}")
        if self.design == "sweep":
            raise ConfigError("a sweep has no named changes to choose from")
        for name in names:
            if name not in self.changes:
                raise ConfigError(
                    f"the plan has no change {name!r}; it has {', '.join(self.changes)}"
                    + close_to(name, self.changes)
                )
        chosen = {name: change for name, change in self.changes.items() if name in names}
        return self.model_copy(update={"changes": chosen})


@dataclass(frozen=True, kw_only=True)
class Arms:
    """The architectures of an ablation, the base first, and what there is to say about them.

    Attributes:
        arms: The base, then what is compared with it.
        whole: The plan's base at the scale of the run, before anything is added or removed.
        warnings: What the user should know before anything is trained.
    """

    arms: tuple[Arm, ...]
    whole: ArchSpec
    warnings: tuple[str, ...]


def list_ablations() -> tuple[str, ...]:
    """Names of the shipped plans."""
    return declaration_names(_folder())


def load_ablation(name_or_path: str) -> AblationPlan:
    """Loads a plan by name or path.

    Raises:
        ConfigError: There is none, or a key or value in it is at fault.
    """
    return load_declaration(AblationPlan, name_or_path, _folder(), "ablation plan")


def find_base(name: str) -> tuple[ArchSpec, bool]:
    """The architecture that an ablation changes; as `find_arch`.

    Returns:
        The architecture, and whether it is a preset, which a profile may bring to its scale.

    Raises:
        ConfigError: There is none, or it is no HRViT.
    """
    spec, preset = find_arch(name)
    if not isinstance(spec, ArchSpec):
        raise ConfigError(f"the base of an ablation must be an HRViT, got {name!r}")
    return spec, preset


def find_arch(name: str) -> tuple[Arch, bool]:
    """An architecture by preset, file or run.

    Args:
        name: A preset; a `.json` file with an architecture; a run directory, of which it is the
            frontier member with the highest mean mIoU; or `RUN:ID`, another member of it.

    Returns:
        The architecture, and whether it is a preset.

    Raises:
        ConfigError: There is none.
    """
    if name in PRESETS or not name or not ("/" in name or ":" in name or Path(name).exists()):
        try:
            return get_arch(name), True
        except ArchError as error:
            raise ConfigError(f"{error}; or a .json file, a run directory, or RUN:ID") from error
    if name.endswith(".json"):
        try:
            return parse_arch(Path(name).read_text(encoding="utf-8")), False
        except (OSError, ValueError) as error:
            raise ConfigError(f"{name} holds no architecture: {error}") from error
    return _from_run(name), False


def _from_run(name: str) -> Arch:
    path, _, arch_id = name.partition(":")
    store = TrialStore(Path(path), arches=False)
    summary = summarise(store.records(), **_ranking_of(Path(path)))
    if arch_id:
        found = [row for row in summary.rows if row.arch_id == arch_id]
        if not found:
            raise ConfigError(f"{path} has no complete trial of an architecture {arch_id!r}")
    elif any(record.purpose == "ablation" for record in store.records()):
        raise ConfigError(f"{path} holds an ablation, which has no frontier; name an arm: RUN:ID")
    else:
        found = sorted(summary.frontier, key=lambda row: row.interval.mean)
        if not found:
            raise ConfigError(f"{path} has no frontier to take a member of")
    wanted = found[-1].arch_id
    return parse_arch(store.arch_texts([wanted])[wanted])


def _ranking_of(directory: Path) -> dict[str, Any]:
    """By what a run's frontier is drawn, as far as its configuration says."""
    try:
        return read_config(directory).ranking
    except ConfigError:
        return {}


def make_arms(
    plan: AblationPlan,
    base: ArchSpec,
    *,
    macs: Callable[[Arch], float],
    factor: float = 1.0,
    controls: bool = True,
) -> Arms:
    """Every architecture that a plan asks for.

    Args:
        plan: The plan.
        base: Its base, before it is brought to scale.
        macs: Multiply-adds at the run's image size.
        factor: What widths are multiplied by, after a change was made.
        controls: Whether arms of another cost get a control.

    Raises:
        ConfigError: A change names no field, contradicts another, gives no architecture, or gives
            one that another change gives too; or no change has an effect.
    """

    def scale(spec: Arch) -> Arch:
        return spec if factor == 1.0 else scale_widths(spec, factor)

    warnings: list[str] = []
    stripped: Mapping[str, Value] = {}
    if plan.design == "add_one_in":
        stripped = _joined(plan, base, tuple(plan.changes))
    reference = scale(_edited(base, stripped, BASE))
    assert isinstance(reference, ArchSpec)
    arms = [
        Arm(
            name=BASE,
            role="base",
            description="all parts removed" if stripped else "",
            arch=reference.to_json(),
            published={} if stripped else plan.published,
        )
    ]
    seen = {reference.id: BASE}
    for name, description, changed, published in _changed(plan, base):
        spec = scale(changed)
        if plan.equal_macs:
            spec = scale_to_cost(spec, macs, macs(reference))
        if spec.id == reference.id:
            warnings.append(f"change {name!r} has no effect on the base and is left out")
            continue
        if spec.id in seen:
            raise ConfigError(
                f"changes {seen[spec.id]!r} and {name!r} give the same architecture; drop one"
            )
        seen[spec.id] = name
        gap = macs(spec) / macs(reference) - 1
        if plan.equal_macs and abs(gap) > EQUAL_COST:
            warnings.append(
                f"change {name!r}: widths come in steps, and the closest has {gap:+.1%} of the"
                " base's multiply-adds"
            )
        control = None
        if controls and abs(gap) > EQUAL_COST:
            control = _control(reference, spec, macs)
            off = abs(macs(control) / macs(spec) - 1) if control else 1.0
            if off > EQUAL_COST:
                warnings.append(
                    f"change {name!r}: the base cannot be brought to its multiply-adds"
                    + (f"; the control is {off:.1%} off" if control else ", so it has no control")
                )
        arms.append(
            Arm(
                name=name,
                role="arm",
                description=description,
                arch=spec.to_json(),
                control=control and control.to_json(),
                published=published,
            )
        )
    if len(arms) == 1:
        raise ConfigError(f"no change has an effect on the base: {'; '.join(warnings)}")
    whole = scale(base)
    assert isinstance(whole, ArchSpec)
    return Arms(arms=tuple(arms), whole=whole, warnings=tuple(warnings))


def _control(base: ArchSpec, spec: Arch, macs: Callable[[Arch], float]) -> ArchSpec | None:
    """The base at another architecture's multiply-adds; None if it comes no closer."""

    def off(candidate: Arch) -> float:
        return abs(macs(candidate) / macs(spec) - 1)

    near = scale_to_cost(base, macs, macs(spec))
    return near if near.id != spec.id and off(near) < off(base) else None


def _changed(
    plan: AblationPlan, base: ArchSpec
) -> Iterator[tuple[str, str, Arch, Mapping[Fact, str]]]:
    """Name, description, architecture and published figures of each arm but the base."""
    names = tuple(plan.changes)
    if plan.sweep is not None:
        short = plan.sweep.field.rpartition(".")[2]
        for value in plan.sweep.values:
            name = f"{short}={value}"
            yield name, "", _edited(base, {plan.sweep.field: value}, name), {}
    elif plan.design == "leave_one_out":
        for name, change in plan.changes.items():
            spec = get_arch(change.arch) if change.arch else _edited(base, change.edits, name)
            yield name, change.description, spec, change.published
    elif plan.design == "add_one_in":
        for name in names:
            others = tuple(other for other in names if other != name)
            spec = _edited(base, _joined(plan, base, others), name)
            yield f"+{name}", f"{name} not removed", spec, {}
    else:
        for count in range(1, len(names) + 1):
            for chosen in combinations(names, count):
                name = "+".join(chosen)
                yield name, "", _edited(base, _joined(plan, base, chosen), name), {}


def _joined(plan: AblationPlan, base: ArchSpec, names: tuple[str, ...]) -> Mapping[str, Value]:
    """Several changes at once."""
    joined: dict[str, Value] = {}
    fields = {name: edited_fields(base, plan.changes[name].edits) for name in names}
    for first, second in combinations(names, 2):
        for target, value in fields[first].items():
            other = fields[second].get(target, value)
            if other != value:
                raise ConfigError(
                    f"changes {first!r} and {second!r} contradict each other: they set {target} to"
                    f" {value!r} and to {other!r}"
                )
    for name in names:
        joined |= plan.changes[name].edits
    return joined


def _edited(base: ArchSpec, edits: Mapping[str, Value], name: str) -> ArchSpec:
    try:
        return apply_edits(base, edits)
    except SpaceError as error:
        raise ConfigError(f"change {name!r}: {error}") from error


def _folder() -> Path:
    return declarations_dir("experiments") / "ablations"


def plan_space(plan: AblationPlan, base: ArchSpec) -> Space:
    """A space of which the base and every change of it are members.

    One gene stands for all modules of a branch where its changes do; else each module has its own.

    Args:
        plan: The plan.
        base: Its base, at the scale of the run.

    Raises:
        ConfigError: A change is no matter of fields, or changes what it costs beside.
    """
    if plan.equal_macs:
        raise ConfigError("a supernet cannot bring arms to equal MACs; train them")
    for name, change in plan.changes.items():
        if change.arch is not None:
            raise ConfigError(
                f"a supernet scores its own subnets, and {name!r} is another architecture; leave it"
                " out, or train it"
            )
    edits = [change.edits for change in plan.changes.values()]
    if plan.sweep is not None:
        edits = [{plan.sweep.field: value} for value in plan.sweep.values]
    touched: dict[Target, list[Value]] = {}
    for edit in edits:
        for target, value in edited_fields(base, edit).items():
            before = target.of(base)
            if before is not None:
                touched.setdefault(target, [before]).append(value)
    genes = []
    for (name, branch), targets in _by_branch(touched).items():
        choices = {tuple(touched[target]) for target in targets}
        modules = [m for m, b, _ in base.walk() if b == branch]
        if branch is not None and len(choices) == 1 and len(targets) == len(modules):
            field = f"modules.*.branches.{branch + 1}.{name}"
            genes.append(_gene(f"{name}_{branch + 1}", field, touched[targets[0]]))
            continue
        for target in targets:
            name_of = re.sub(r"\W+", "_", str(target))
            genes.append(_gene(name_of, target.pattern, touched[target]))
    genes = [gene for gene in genes if len(gene.choices) > 1]
    return Space(name="ablation", base=base, genes=tuple(genes))


def _by_branch(targets: Iterable[Target]) -> dict[tuple[str, int | None], list[Target]]:
    groups: dict[tuple[str, int | None], list[Target]] = {}
    for target in targets:
        groups.setdefault((target.name, target.branch), []).append(target)
    return groups


def _gene(name: str, field: str, values: Iterable[Value]) -> Gene:
    choices = list(dict.fromkeys(values))
    if all(isinstance(choice, int) and not isinstance(choice, bool) for choice in choices):
        choices.sort()
    return Gene(name=name, field=field, choices=tuple(choices), when=())
