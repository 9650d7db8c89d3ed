"""What a training does otherwise for segmentation than for classification."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from torch import nn

from ..data import (
    ClassificationData,
    SegmentationData,
    describe,
    describe_images,
    load_data,
    load_images,
)
from ..data.layouts import Task
from ..evaluation import ClassificationScores, Evaluation
from ..models import Description, Network, build_classifier, build_segmentor
from ..training import (
    NetworkCheck,
    NetworkResult,
    check_maps,
    check_partners,
    train,
    train_classifier,
)
from .checks import check_trainable
from .config_parts import ConfigError
from .data_checks import check_images
from .training_config import TrainingConfig

DataT = TypeVar("DataT")
ScoresT = TypeVar("ScoresT", Evaluation, ClassificationScores)


class TrainingTask(ABC, Generic[DataT, ScoresT]):
    """A task of trainings.

    Attributes:
        headline: The score that is told first: a field of `scores.json`, and a column of the curve.
        more: Further scores of the curve.
    """

    headline: ClassVar[str]
    more: ClassVar[tuple[str, ...]]

    @property
    def curve(self) -> tuple[str, ...]:
        """Columns of `curve.csv`: steps (count), losses and cross entropy (nats), or fractions."""
        return ("step", "loss", self.headline, f"averaged_{self.headline}", *self.more)

    def row(self, check: NetworkCheck[ScoresT]) -> dict[str, object]:
        """The scores of a row of the curve."""
        of, averaged = check.evaluation, check.averaged
        return {
            self.headline: getattr(of, self.headline),
            f"averaged_{self.headline}": "" if averaged is None else self.first(averaged),
            **{name: getattr(of, name) for name in self.more},
        }

    def first(self, scores: ScoresT) -> float:
        """The score that is told first, a fraction."""
        value: float = getattr(scores, self.headline)
        return value

    @abstractmethod
    def load(self, config: TrainingConfig) -> DataT:
        """The data set.

        Raises:
            DataError: It is not there, or faulty.
        """

    @abstractmethod
    def check_data(self, config: TrainingConfig) -> None:
        """Refuses files that could not be trained on, and warns of what looks like a mistake.

        Raises:
            DataError: A file is faulty.
        """

    @abstractmethod
    def check(self, config: TrainingConfig, num_train: int) -> None:
        """Refuses a network that the recipe cannot train, before anything is trained.

        Raises:
            ConfigError: It cannot.
        """

    @abstractmethod
    def build(self, config: TrainingConfig, num_classes: int) -> Network:
        """The network, its first weights drawn from torch's global state."""

    @abstractmethod
    def train(
        self, model: nn.Module, data: DataT, config: TrainingConfig, how: Mapping[str, Any]
    ) -> NetworkResult[ScoresT]:
        """Trains it; `how` are further arguments of `training.train`."""

    @abstractmethod
    def describe(self, config: TrainingConfig, data: DataT) -> Description:
        """What the trained network's numbers mean."""

    @abstractmethod
    def scores(self, scores: ScoresT, data: DataT) -> dict[str, object]:
        """What `scores.json` holds."""


class SegmentationTask(TrainingTask[SegmentationData, Evaluation]):
    """The class of each pixel."""

    headline = "miou"
    more = ("cross_entropy", "boundary_miou")

    def load(self, config: TrainingConfig) -> SegmentationData:
        """See `TrainingTask`."""
        return load_data(config.data)

    def check_data(self, config: TrainingConfig) -> None:
        """See `TrainingTask`."""
        check_images(config)

    def check(self, config: TrainingConfig, num_train: int) -> None:
        """See `TrainingTask`."""
        check_trainable(config, None, num_train)

    def build(self, config: TrainingConfig, num_classes: int) -> Network:
        """See `TrainingTask`."""
        rate = config.recipe.drop_path_rate
        return build_segmentor(config.spec, num_classes, drop_path_rate=rate)

    def train(
        self,
        model: nn.Module,
        data: SegmentationData,
        config: TrainingConfig,
        how: Mapping[str, Any],
    ) -> NetworkResult[Evaluation]:
        """See `TrainingTask`."""
        return train(model, data, config.recipe, **how)

    def describe(self, config: TrainingConfig, data: SegmentationData) -> Description:
        """See `TrainingTask`."""
        return describe(data.class_names, config.data)

    def scores(self, scores: Evaluation, data: SegmentationData) -> dict[str, object]:
        """See `TrainingTask`."""
        return {
            "miou": scores.miou,
            "pixel_accuracy": scores.pixel_accuracy,
            "boundary_miou": scores.boundary_miou,
            "cross_entropy": scores.cross_entropy,
            "class_iou": dict(zip(data.class_names, scores.class_iou, strict=True)),
        }


class ClassificationTask(TrainingTask[ClassificationData, ClassificationScores]):
    """The class of the whole image."""

    headline = "top1"
    more = ("top5", "cross_entropy")

    def load(self, config: TrainingConfig) -> ClassificationData:
        """See `TrainingTask`."""
        # What is scored is brought to the size of what is trained, as costs are counted.
        return load_images(config.data.model_copy(update={"image_size": config.image_size}))

    def check_data(self, config: TrainingConfig) -> None:
        """See `TrainingTask`; names of files are checked as they are found."""

    def check(self, config: TrainingConfig, num_train: int) -> None:
        """See `TrainingTask`."""
        try:
            check_maps(config.recipe, config.image_size, num_train)
            check_partners(config.recipe, config.resources.workers or 1)
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def build(self, config: TrainingConfig, num_classes: int) -> Network:
        """See `TrainingTask`."""
        how, rate = config.recipe.classification, config.recipe.drop_path_rate
        assert how is not None
        return build_classifier(
            config.spec,  # type: ignore[arg-type]  # checked by the configuration
            num_classes,
            drop_path_rate=rate,
            dropout=how.head_dropout,
        )

    def train(
        self,
        model: nn.Module,
        data: ClassificationData,
        config: TrainingConfig,
        how: Mapping[str, Any],
    ) -> NetworkResult[ClassificationScores]:
        """See `TrainingTask`."""
        return train_classifier(model, data, config.recipe, **how)

    def describe(self, config: TrainingConfig, data: ClassificationData) -> Description:
        """See `TrainingTask`."""
        return describe_images(data.class_names, config.data)

    def scores(
        self,
        scores: ClassificationScores,
        data: ClassificationData,  # noqa: ARG002
    ) -> dict[str, object]:
        """See `TrainingTask`."""
        return scores._asdict()


TASKS: Mapping[Task, TrainingTask[Any, Any]] = {
    "segmentation": SegmentationTask(),
    "classification": ClassificationTask(),
}
"""By what the images of a data set are labelled for."""
