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
      baseline: {arch: cswin_ti}  # another architecture instead of edits
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
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from .._files import declarations_dir
from .._messages import close_to
from ..arch import get_arch
from ..data.config import DataName
from ..space import Value
from .ablation_config import Fact, Text, check_seeds
from .config_parts import ConfigError, Frozen
from .profiles import declaration_names, load_declaration

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


def list_ablations() -> tuple[str, ...]:
    """Names of the shipped plans."""
    return declaration_names(_folder())


def load_ablation(name_or_path: str) -> AblationPlan:
    """Loads a plan by name or path.

    Raises:
        ConfigError: There is none, or a key or value in it is at fault.
    """
    return load_declaration(AblationPlan, name_or_path, _folder(), "ablation plan")


def _folder() -> Path:
    return declarations_dir("experiments") / "ablations"
