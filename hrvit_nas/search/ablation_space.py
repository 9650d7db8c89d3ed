"""The space of an ablation's supernets."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..arch import ArchSpec
from ..space import Gene, Space, Value, edited_fields
from ..space.genes import Target
from .ablation import AblationPlan
from .config_parts import ConfigError


def plan_space(plan: AblationPlan, base: ArchSpec) -> Space:
    """A space that the base and every change of it are in.

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
