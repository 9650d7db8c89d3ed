"""A trial, what came of it, and the columns, units and schema version it is stored with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from hrvit_nas.arch import Arch, parse_arch
from hrvit_nas.cost import Cost
from hrvit_nas.objectives import COSTS, OBJECTIVES

SCHEMA_VERSION = 8
"""2: history points hold more than step and mIoU; trials may be of a calibration.
3: trials may be scores with inherited weights, with the score before BN recalibration beside.
4: trials may be of an ablation, and of architectures that are no HRViT.
5: trials may be trained long.
6: purpose, evaluator and budget in place of `origin` and `long`.
7: trials may be of a lower rung of successive halving.
8: how often a trial was tried; every line of the journal ends with a checksum."""
SEALED_FROM = 8
"""The first version whose lines have a checksum."""

Criterion: TypeAlias = str
"""Name of an objective that is a score (`hrvit_nas.objectives.SCORES`), and so of a field of
`HistoryPoint`, which architectures can be ranked by."""

Purpose = Literal[
    "search", "rung", "reference", "confirmation", "calibration", "ranking_check", "ablation"
]
"""What a trial is for; `rung`: to be trained on by successive halving, or not."""
Evaluator = Literal["trained", "inherited"]
"""Where the weights come from that are scored: training alone, or a supernet."""
State = Literal["complete", "failed"]
CALIBRATING: frozenset[Purpose] = frozenset({"calibration", "ranking_check"})
"""Purposes whose trials tell how far scores can be trusted, and are no part of a search."""


class Stage(NamedTuple):
    """Trials of one purpose that are scored alike."""

    purpose: Purpose
    evaluator: Evaluator


SEARCHED = Stage("search", "trained")
"""What a search proposes and trains to the end, of which its frontier is."""


class TrialKey(NamedTuple):
    """What makes two trials the same.

    Attributes:
        arch_id: Id of the architecture.
        seed: Seed of initialisation and data order.
        evaluator: Where its weights come from.
        budget: Optimiser steps that it is trained for; of the supernet, if weights are inherited.
    """

    arch_id: str
    seed: int
    evaluator: Evaluator
    budget: int

    @property
    def name(self) -> str:
        """For files and other tools, such as `0123456789ab-s0-300`."""
        kind = "" if self.evaluator == "trained" else f"-{self.evaluator}"
        return f"{self.arch_id}-s{self.seed}{kind}-{self.budget}"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One architecture to score: how, for how long, with which seed, and what for.

    Attributes:
        number: Number of the trial within the run.
        arch: The architecture.
        seed: Seed of initialisation and data order; of the supernet, if weights are inherited.
        purpose: What it is for.
        evaluator: Where its weights come from.
        budget: Optimiser steps that it is trained for; of the supernet, if weights are inherited.
        label: Name to show, such as that of a reference.
        proposal: Number of the Optuna trial that proposed it; None for one that none did.
        goes_on_from: Budget of the trial whose training it goes on with, of the same architecture
            and seed; None = it begins.
        attempts: How often it was tried, and failed, in earlier sittings.
    """

    number: int
    arch: Arch
    seed: int
    purpose: Purpose
    evaluator: Evaluator = "trained"
    budget: int
    label: str = ""
    proposal: int | None = None
    goes_on_from: int | None = None
    attempts: int = 0

    @property
    def key(self) -> TrialKey:
        """What is never trained or scored twice."""
        return TrialKey(self.arch.id, self.seed, self.evaluator, self.budget)

    @property
    def stage(self) -> Stage:
        """Which of a run's stages it belongs to."""
        return Stage(self.purpose, self.evaluator)

    @property
    def identity(self) -> dict[str, Any]:
        """The columns that say which trial it was, for a `TrialRecord`."""
        return {
            "number": self.number,
            "arch_id": self.arch.id,
            "arch": self.arch.to_json(),
            "purpose": self.purpose,
            "evaluator": self.evaluator,
            "budget": self.budget,
            "label": self.label,
            "seed": self.seed,
        }

    @property
    def file_name(self) -> str:
        """Name of the file that holds this trial's weights."""
        return f"{self.key.name}.pt"


@dataclass(frozen=True)
class Column:
    """Unit and meaning of a stored column; the unit is empty for names and texts."""

    unit: str
    description: str


def _without_surrogates(text: str) -> str:
    # File names and messages may hold lone surrogates, which no JSON reader takes back.
    return text.encode("utf-8", "replace").decode("utf-8")


ForeignText = Annotated[str, AfterValidator(_without_surrogates)]
"""Text from outside; what UTF-8 cannot hold becomes a question mark."""


class HistoryPoint(NamedTuple):
    """Scores on the validation split after a number of optimiser steps.

    Each is declared in `hrvit_nas.objectives`.

    Attributes:
        step: Optimiser steps done.
        miou: Mean IoU (fraction) of the weights themselves.
        averaged_miou: Mean IoU (fraction) of their moving average; None without averaging.
        fw_iou: IoU (fraction) averaged over classes by their share of the true pixels.
        boundary_miou: Mean IoU (fraction) of the pixels near another class.
        cross_entropy: Mean cross entropy of the labelled pixels, in nats.
        seconds: Wall time of the trial up to here.
    """

    step: int
    miou: float
    averaged_miou: float | None = None
    fw_iou: float | None = None
    boundary_miou: float | None = None
    cross_entropy: float | None = None
    seconds: float | None = None

    def gain(self, criterion: Criterion) -> float | None:
        """A score, so turned that more is better; None where there is none."""
        value: float | None = getattr(self, criterion)
        return None if value is None else OBJECTIVES[criterion].gain(value)


class _Identity(BaseModel):
    """Which trial it was: the columns of a `Trial`."""

    number: Annotated[int, Field(ge=0), Column("count", "trial number within the run, from 0")]
    arch_id: Annotated[
        str, Field(pattern="^[0-9a-f]{12}$"), Column("", "id of the architecture (12 hex digits)")
    ]
    arch: Annotated[str, Column("", "architecture as canonical JSON")]
    purpose: Annotated[
        Purpose,
        Column(
            "",
            "what it was for: proposed by the search; a lower rung of successive halving; a"
            " reference placed beside it; a confirmation with a further seed; a calibration of"
            " scores; a check of how far scores with inherited weights rank as training alone does;"
            " an arm of an ablation",
        ),
    ]
    evaluator: Annotated[
        Evaluator,
        Column("", "whether it was trained alone, or scored with the weights of a supernet"),
    ] = "trained"
    budget: Annotated[
        int,
        Field(ge=0),
        Column("count", "optimiser steps it was to be trained for; of the supernet, if inherited"),
    ]
    label: Annotated[ForeignText, Column("", "name to show, such as that of a reference")] = ""
    seed: Annotated[int, Column("", "seed of initialisation and data order")]


class TrialResult(BaseModel):
    """What came of a trial, as its worker tells.

    Frozen, keyword-only and self-checking.

    Raises:
        pydantic.ValidationError (a ValueError): A field is missing, unknown or out of range,
            a complete trial has no mIoU, or a failed one has no error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    state: Annotated[State, Column("", "complete or failed")]
    miou: Annotated[
        float | None,
        Field(ge=0, le=1),
        Column("fraction", "mean IoU on the validation split, one dataset-level confusion matrix"),
    ] = None
    uncalibrated_miou: Annotated[
        float | None,
        Field(ge=0, le=1),
        Column(
            "fraction",
            "of an inherited score: mean IoU before batch statistics were estimated anew",
        ),
    ] = None
    latency_ms: Annotated[
        float | None, Field(ge=0), Column("ms/image", "measured latency, where measured")
    ] = None
    seconds: Annotated[float, Field(ge=0), Column("s", "wall time of the trial")]
    steps: Annotated[
        int,
        Field(ge=0),
        Column("count", "optimiser steps trained (the fidelity); of the supernet, if inherited"),
    ]
    error: Annotated[ForeignText, Column("", "why the trial failed; empty if it did not")] = ""
    attempts: Annotated[
        int,
        Field(ge=1),
        Column("count", "how often it was tried: the last time is what came of it"),
    ] = 1
    worker: Annotated[ForeignText, Column("", "host and Ray node that ran the trial")] = ""
    history: Annotated[
        tuple[HistoryPoint, ...],
        Column("", "learning curve: step (count), mIoU and other scores at each evaluation"),
    ] = ()

    @model_validator(mode="after")
    def _check_state(self) -> Self:
        if self.state == "complete" and self.miou is None:
            raise ValueError("a complete trial must have a miou, got none")
        if self.state == "failed" and not self.error:
            raise ValueError("a failed trial must say its error, got an empty one")
        return self

    @classmethod
    def failed(cls, error: str, seconds: float = 0.0) -> Self:
        """Of a trial that broke before it could say more."""
        return cls(state="failed", error=error or "unknown error", seconds=seconds, steps=0)


class TrialRecord(TrialResult, _Identity):
    """One trial: what it was, what the architecture costs, what it scored, and where.

    Frozen, keyword-only and self-checking; `SCHEMA` gives the unit and the meaning of every
    field. Costs are those of one image at the run's image size.

    Raises:
        pydantic.ValidationError (a ValueError): As a `TrialResult`.
    """

    macs: Annotated[
        int,
        Field(ge=0),
        Column("multiply-adds/image", "multiply-adds that this model executes, as fvcore counts"),
    ]
    published_macs: Annotated[
        int,
        Field(ge=0),
        Column("multiply-adds/image", "multiply-adds of the published form of the network"),
    ]
    params: Annotated[int, Field(ge=0), Column("count", "trainable parameters")]
    peak_activation_bytes: Annotated[
        int, Field(ge=0), Column("B/image", "peak bytes of activations, float32 inference")
    ]
    predicted_latency_ms: Annotated[
        float | None,
        Field(gt=0),
        Column("ms/image", "latency predicted from a table, where the run has one"),
    ] = None
    finished_at: Annotated[AwareDatetime, Column("UTC", "time at which the trial ended")]

    @classmethod
    def of(
        cls,
        trial: Trial,
        result: TrialResult,
        cost: Cost,
        predicted_latency_ms: float | None = None,
    ) -> Self:
        """What came of a trial that ends now, and what its architecture costs."""
        return cls(
            **trial.identity,
            macs=cost.macs,
            published_macs=cost.published_macs,
            params=cost.params,
            peak_activation_bytes=cost.peak_activation_bytes,
            predicted_latency_ms=predicted_latency_ms,
            finished_at=datetime.now(UTC),
            **dict(result),
        )

    @field_validator("finished_at")
    @classmethod
    def _in_utc(cls, value: datetime) -> datetime:
        return value.astimezone(UTC)

    @property
    def key(self) -> TrialKey:
        """What a trial must not be repeated for."""
        return TrialKey(self.arch_id, self.seed, self.evaluator, self.budget)

    @property
    def stage(self) -> Stage:
        """Which of a run's stages it belongs to."""
        return Stage(self.purpose, self.evaluator)

    def score(self, criterion: Criterion) -> float | None:
        """A score after the last step, more being better; None where the trial has none.

        One that is minimised is negated. mIoU is that of the record, of averaged weights where
        there are such.
        """
        if self.state == "failed":
            return None
        if criterion == "miou":
            return self.miou
        return self.history[-1].gain(criterion) if self.history else None

    @property
    def spec(self) -> Arch:
        """The architecture, rebuilt from `arch`."""
        return parse_arch(self.arch)


def seconds_spent(records: Iterable[TrialRecord]) -> list[float]:
    """Wall time that each trial added, in s: that of one which goes on from a rung of successive
    halving is counted from the beginning of its training, and is less by what the rung took.
    """
    paused: dict[tuple[str, int], float] = {}
    spent = []
    for record in records:
        training = record.arch_id, record.seed
        goes_on = record.purpose in ("rung", "search") and record.state == "complete"
        spent.append(record.seconds - (paused.get(training, 0.0) if goes_on else 0.0))
        if goes_on:
            paused[training] = record.seconds
    return spent


def upgraded(data: dict[str, Any], version: int) -> dict[str, Any]:
    """The plain data of a record as this version has it, from that of an earlier schema.

    Before 6 a failed trial did not say what it was to be trained for; its budget is 0.
    """
    if version >= 6:
        return data
    origin = data.get("origin")
    data = {name: value for name, value in data.items() if name not in ("origin", "long")}
    label = data.get("label", "")
    purposes: dict[object, Purpose] = {"confirm": "confirmation"}
    purpose = purposes.get(origin, origin)
    if origin == "inherited":
        data["evaluator"] = "inherited"
        purpose = "ablation" if label else "search"
    if label == "trust":
        purpose, data["label"] = "ranking_check", ""
    return data | {"purpose": purpose, "budget": data.get("steps")}


def _column(metadata: list[Any]) -> Column:
    return next(item for item in metadata if isinstance(item, Column))


COST_COLUMNS = tuple(dict.fromkeys(("macs", "published_macs", *COSTS)))
"""Columns of `SCHEMA` that say what an architecture costs."""

SCHEMA: dict[str, Column] = {
    name: _column(field.metadata) for name, field in TrialRecord.model_fields.items()
}
"""Columns of the trial table, in order, with their units."""
