"""How a network is trained, as one frozen, self-checking configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ..data import AugmentConfig, ImageAugmentConfig
from ..data.layouts import Task
from ..objectives import known_criterion

Size = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
"""Height and width, in pixels."""
Momentum = Annotated[float, Field(ge=0, lt=1)]


class ClassificationRecipe(BaseModel):
    """What a recipe for classification says beside what all recipes say.

    Attributes:
        augment: Crop, flip, RandAugment and erasing of training images.
        head_dropout: Dropout before the last linear map of the head.
        label_smoothing: Share of a target that all classes have alike.
        mixup: Parameter of the beta distribution by which images of a batch are blended; 0 = none.
        cutmix: Parameter of that by which parts of them are exchanged; 0 = none. Where both are
            set, each batch has one of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    augment: ImageAugmentConfig
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)


_OF_SEGMENTATION = (
    *("criterion", "class_weighting", "auxiliary_weight", "augment", "recalibration_batches"),
    *("eval_window", "eval_stride"),
)
"""Fields of `Recipe` that a training for classification does not read."""


class Recipe(BaseModel):
    """AdamW or Muon with linear warm-up, decay and gradient clipping.

    The defaults are a proxy for a laptop: a minute or so on one core. The published recipe
    (Gu et al., CVPR 2022) is `steps=160_000, learning_rate=6e-5, warmup_steps=1500,
    warmup_start_factor=1e-6, head_lr_factor=10, clip_norm=None`, with batches of 16 crops of
    512x512 for ADE20K, and of 8 of 1024x1024 with `eval_window=(1024, 1024)` and
    `eval_stride=(768, 768)` for Cityscapes.

    Attributes:
        criterion: Score on the validation set that a search ranks architectures by.
        optimizer: `adamw`, or `muon` for the matrices and AdamW for the rest.
        steps: Optimiser steps of the schedule.
        stop_after: Steps after which training stops, on the way through the schedule: the scores
            had there foretell the end of it; None = at its end.
        batch_size: Crops a step.
        learning_rate: Peak learning rate, of both optimisers where there are two.
        betas: AdamW's decay rates of the first and second moment.
        weight_decay: Decoupled weight decay; norms and biases have none.
        warmup_steps: Steps over which the rate rises linearly to the decay curve.
        warmup_start_factor: Share of the rate at the first step of the warm-up.
        decay: How the rate falls to zero at `steps`: by a polynomial, or half a cosine.
        decay_power: Power of the polynomial; 0 = no decay.
        head_lr_factor: Learning rate of `model.head`, and of an auxiliary head, over that of the
            backbone.
        clip_norm: Largest norm of all gradients together; None = no clipping.
        accumulation_steps: Parts that a process passes one after the other for one step, so that
            memory is that of a part; batch norms normalise by a part.
        precision: Of the passes: `bfloat16`, `float32`, or `auto`: bfloat16 on a GPU alone.
        sync_batch_norm: Whether batch norms normalise by what all processes have, as one.
        gradient_checkpointing: Whether blocks are passed again for the backward pass, instead of
            keeping what they computed; the result does not depend on it.
        drop_path_rate: Stochastic depth, for whoever builds the model.
        class_weighting: Power of a class's inverse frequency that weighs its pixels in the loss;
            0 = all pixels alike.
        auxiliary_weight: Of the loss of an auxiliary head of 256 channels on the third map, which
            is there in training alone (0.4 beside the published UperNet); 0 = none.
        weight_averaging: Decay a step of the exponential moving average of the weights that is
            scored; 0 = score the weights themselves.
        tied_initialisation: Whether each tensor's first values depend on the seed and its name
            alone, so that architectures start alike where they are alike.
        augment: Crop, scale, flip and photometric distortion of training images.
        recalibration_batches: BN recalibration before the validation set is scored: batch
            statistics are estimated anew from so many batches of `eval_batch_size` whole training
            images; 0 = the running statistics of training.
        eval_batch_size: Validation images a forward pass.
        eval_window: Sliding window of the validation, in pixels; None = whole images.
        eval_stride: Rows and columns from one window to the next; set with `eval_window`.
        num_workers: Processes that prepare batches; 0 = in the training process. The result
            does not depend on it.
        evaluations: How many times the validation set is scored, evenly spaced; the last
            time is after the last step that is trained.
        classification: How a classifier is trained, beside the fields that are not of masks; None =
            a segmentor is trained.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    criterion: Annotated[str, AfterValidator(known_criterion)] = "miou"
    optimizer: Literal["adamw", "muon"] = "adamw"
    steps: int = Field(default=200, ge=1)
    stop_after: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    betas: tuple[Momentum, Momentum] = (0.9, 0.999)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_steps: int = Field(default=10, ge=0)
    warmup_start_factor: float = Field(default=0.1, ge=0, le=1)
    decay: Literal["polynomial", "cosine"] = "polynomial"
    decay_power: float = Field(default=1.0, ge=0)
    head_lr_factor: float = Field(default=1.0, gt=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    accumulation_steps: int = Field(default=1, ge=1)
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    sync_batch_norm: bool = False
    gradient_checkpointing: bool = False
    drop_path_rate: float = Field(default=0.0, ge=0, lt=1)
    class_weighting: float = Field(default=0.0, ge=0, le=1)
    auxiliary_weight: float = Field(default=0.0, ge=0)
    weight_averaging: float = Field(default=0.0, ge=0, lt=1)
    tied_initialisation: bool = False
    augment: AugmentConfig = AugmentConfig(crop_size=(96, 128))
    recalibration_batches: int = Field(default=0, ge=0)
    eval_batch_size: int = Field(default=16, ge=1)
    eval_window: Size | None = None
    eval_stride: Size | None = None
    num_workers: int = Field(default=0, ge=0, le=256)
    evaluations: int = Field(default=1, ge=1)
    classification: ClassificationRecipe | None = None

    @model_validator(mode="after")
    def _check_is_read(self) -> Recipe:
        unread = ["decay_power"] if self.decay == "cosine" else []
        if self.classification is not None:
            unread += _OF_SEGMENTATION
        for name in unread:
            if getattr(self, name) != Recipe.model_fields[name].default:
                by = "a cosine decay" if name == "decay_power" else "a recipe for classification"
                raise ValueError(f"{by} must not set {name}, which it does not read; leave it out")
        return self

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps must be less than steps={self.steps}, got {self.warmup_steps}"
            )
        if self.stop_after is not None and self.stop_after >= self.steps:
            raise ValueError(
                f"stop_after must be less than steps={self.steps}, got {self.stop_after}"
            )
        if self.weight_averaging and self.criterion != "miou":
            raise ValueError(
                "criterion must be miou with weight_averaging, whose mIoU is of the averaged"
                f" weights; got {self.criterion}"
            )
        if self.accumulation_steps > self.batch_size:
            raise ValueError(
                f"accumulation_steps must be at most batch_size={self.batch_size}, got"
                f" {self.accumulation_steps}"
            )
        if self.evaluations > self.trained_steps:
            raise ValueError(
                f"evaluations must be at most the {self.trained_steps} steps that are trained,"
                f" got {self.evaluations}"
            )
        if (self.eval_window is None) != (self.eval_stride is None):
            raise ValueError(
                "eval_window and eval_stride must be set together,"
                f" got {self.eval_window} and {self.eval_stride}"
            )
        if self.eval_window is not None and self.eval_stride is not None:
            for stride, window in zip(self.eval_stride, self.eval_window, strict=True):
                if stride > window:
                    raise ValueError(
                        f"eval_stride must be at most eval_window={self.eval_window},"
                        f" got {self.eval_stride}"
                    )
        return self

    @property
    def task(self) -> Task:
        """What it trains for."""
        return "segmentation" if self.classification is None else "classification"

    @property
    def crop_size(self) -> tuple[int, int] | None:
        """Height and width of what the network sees in training; None = of whole images."""
        augment = self.augment if self.classification is None else self.classification.augment
        return augment.crop_size

    @property
    def trained_steps(self) -> int:
        """Optimiser steps that are done: of the schedule, or of its first part."""
        return self.steps if self.stop_after is None else self.stop_after

    @property
    def evaluation_steps(self) -> tuple[int, ...]:
        """Steps done when the validation set is scored, rising; the last is `trained_steps`."""
        counts = range(1, self.evaluations + 1)
        return tuple(self.trained_steps * count // self.evaluations for count in counts)

    @property
    def described_steps(self) -> str:
        """The steps that are done, in words."""
        if self.stop_after is None:
            return f"{self.steps} steps"
        return f"the first {self.stop_after} of {self.steps} steps"


class SupernetRecipe(BaseModel):
    """How a supernet is trained, beside the recipe of its subnets.

    Fields are read under the names that versions before had for them, too (`RENAMED`).

    Batches, optimiser, learning rates and augmentation are the subnets' recipe; weight averaging,
    tied initialisation and an auxiliary head have no meaning here (`not_of_supernets`).

    Attributes:
        steps: Optimiser steps; each passes the largest, the smallest and some random subnets.
        random_subnets: Random subnets a step.
        sampling: Whether these are drawn evenly over the logarithm of multiply-adds, or uniformly
            over the space, where most are of middling cost.
        distillation: Share of a subnet's loss that is the divergence of its pixel-wise predictions
            from the largest subnet's of the same step; the rest is cross entropy with the labels.
        project_conflicts: Whether the other subnets' gradient loses its part against the largest
            subnet's where the two conflict (Yu et al., "Gradient Surgery", NeurIPS 2020).
        evaluations: How many times the largest and the smallest subnet are scored on the way.
        recalibration_batches: BN recalibration before a subnet is scored: its batch statistics are
            estimated anew from so many batches of `eval_batch_size` whole training images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {RENAMED.get(name, name): value for name, value in fields.items()}

    steps: int = Field(default=800, ge=1)
    random_subnets: int = Field(default=2, ge=0, le=16)
    sampling: Literal["cost", "space"] = "cost"
    distillation: float = Field(default=0.5, ge=0, le=1)
    project_conflicts: bool = False
    evaluations: int = Field(default=4, ge=1)
    recalibration_batches: int = Field(default=4, ge=1)


RENAMED = {"calibration_batches": "recalibration_batches", "random_members": "random_subnets"}
"""Fields of `SupernetRecipe` that versions before called otherwise."""

_NOT_OF_SUPERNETS = (
    *("weight_averaging", "tied_initialisation", "auxiliary_weight"),
    *("accumulation_steps", "precision", "sync_batch_norm", "gradient_checkpointing"),
)


def not_of_supernets(recipe: Recipe) -> list[str]:
    """Fields that a recipe sets and a supernet's training does not know."""
    fields = Recipe.model_fields
    return [name for name in _NOT_OF_SUPERNETS if getattr(recipe, name) != fields[name].default]
