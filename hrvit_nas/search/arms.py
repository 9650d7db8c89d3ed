"""The architectures of an ablation: what its plan asks for, and the controls of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from ..arch import Arch, ArchSpec, get_arch, scale_to_cost, scale_widths
from ..arch.presets import A
from ..results.ablation import EQUAL_COST
from ..space import SpaceError, Value, apply_edits, edited_fields
from .ablation import BASE, AblationPlan
from .ablation_config import Arm, Fact
from .config_parts import ConfigError


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


@dataclass(frozen=True)
class _Changed:
    """One arm of a plan, before it is brought to scale."""

    name: str
    arch: Arch
    description: str = ""
    published: Mapping[Fact, str] = field(default_factory=dict)


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
    first, reference = _base_arm(plan, base, factor)
    arms, warnings = [first], []
    seen = {reference.id: BASE}
    for change in _changed(plan, base):
        spec = _scaled(change.arch, factor)
        if plan.equal_macs:
            spec = scale_to_cost(spec, macs, macs(reference))
        if spec.id == reference.id:
            warnings.append(f"change {change.name!r} has no effect on the base and is left out")
            continue
        if spec.id in seen:
            raise ConfigError(
                f"changes {seen[spec.id]!r} and {change.name!r} give the same architecture; drop"
                " one"
            )
        seen[spec.id] = change.name
        control, said = _controlled(plan, change.name, reference, spec, macs, controls)
        warnings += said
        arms.append(
            Arm(
                name=change.name,
                role="arm",
                description=change.description,
                arch=spec.to_json(),
                control=control and control.to_json(),
                published=change.published,
            )
        )
    if len(arms) == 1:
        raise ConfigError(f"no change has an effect on the base: {'; '.join(warnings)}")
    return Arms(arms=tuple(arms), whole=_scaled(base, factor), warnings=tuple(warnings))


def _base_arm(plan: AblationPlan, base: ArchSpec, factor: float) -> tuple[Arm, ArchSpec]:
    """What all arms are compared with: the base, or what is left of it where parts are added."""
    stripped: Mapping[str, Value] = {}
    if plan.design == "add_one_in":
        stripped = _joined(plan, base, tuple(plan.changes))
    reference = _scaled(_edited(base, stripped, BASE), factor)
    arm = Arm(
        name=BASE,
        role="base",
        description="all parts removed" if stripped else "",
        arch=reference.to_json(),
        published={} if stripped else plan.published,
    )
    return arm, reference


def _scaled(spec: A, factor: float) -> A:
    return spec if factor == 1.0 else scale_widths(spec, factor)


def _controlled(
    plan: AblationPlan,
    name: str,
    reference: ArchSpec,
    spec: Arch,
    macs: Callable[[Arch], float],
    controls: bool,
) -> tuple[ArchSpec | None, list[str]]:
    """An arm's control, where its cost is another than the base's, and what to say of that."""
    gap = macs(spec) / macs(reference) - 1
    if abs(gap) <= EQUAL_COST:
        return None, []
    warnings = []
    if plan.equal_macs:
        warnings.append(
            f"change {name!r}: widths come in steps, and the closest has {gap:+.1%} of the base's"
            " multiply-adds"
        )
    if not controls:
        return None, warnings
    control, off = _control(reference, spec, macs)
    return control, warnings + _control_warnings(name, off)


def _control(
    base: ArchSpec, spec: Arch, macs: Callable[[Arch], float]
) -> tuple[ArchSpec | None, float | None]:
    """The base at another architecture's multiply-adds, and by which share of them it is off.

    None and None where the base comes no closer.
    """

    def off(candidate: Arch) -> float:
        return abs(macs(candidate) / macs(spec) - 1)

    near = scale_to_cost(base, macs, macs(spec))
    if near.id == spec.id or off(near) >= off(base):
        return None, None
    return near, off(near)


def _control_warnings(name: str, off: float | None) -> list[str]:
    """What the user should know of a control that is `off`; None = there is none."""
    if off is None:
        how = ", so it has no control"
    elif off > EQUAL_COST:
        how = f"; the control is {off:.1%} off"
    else:
        return []
    return [f"change {name!r}: the base cannot be brought to its multiply-adds{how}"]


def _changed(plan: AblationPlan, base: ArchSpec) -> Iterator[_Changed]:
    """Each arm but the base."""
    names = tuple(plan.changes)
    if plan.sweep is not None:
        short = plan.sweep.field.rpartition(".")[2]
        for value in plan.sweep.values:
            name = f"{short}={value}"
            yield _Changed(name, _edited(base, {plan.sweep.field: value}, name))
    elif plan.design == "leave_one_out":
        for name, change in plan.changes.items():
            spec = get_arch(change.arch) if change.arch else _edited(base, change.edits, name)
            yield _Changed(name, spec, change.description, change.published)
    elif plan.design == "add_one_in":
        for name in names:
            others = tuple(other for other in names if other != name)
            spec = _edited(base, _joined(plan, base, others), name)
            yield _Changed(f"+{name}", spec, f"{name} not removed")
    else:
        for count in range(1, len(names) + 1):
            for chosen in combinations(names, count):
                name = "+".join(chosen)
                yield _Changed(name, _edited(base, _joined(plan, base, chosen), name))


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
