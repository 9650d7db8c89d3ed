"""What a calibration tells a search of the noise of its scores, if it fits."""

from __future__ import annotations

from pathlib import Path

from ..results import CalibrationError, TrialStore, calibrate
from .config import CalibrationConfig, SpaceConfig
from .config_parts import ConfigError, ProxyNoise
from .stored import read_config

_RESULT_DEPENDS_NOT_ON = {"criterion", "evaluations", "num_workers", "gradient_checkpointing"}


def proxy_noise(directory: Path, config: SpaceConfig) -> ProxyNoise:
    """Sums up a calibration for a search with the same space, data and recipe.

    Args:
        directory: Run directory of the calibration.
        config: The search.

    Raises:
        ConfigError: There is no calibration, it has too few trials, or it is of another space (as
            narrowed), data set or recipe, which would make its noise that of something else.
        StoreError: Its trials cannot be read.
    """
    theirs = read_config(directory, CalibrationConfig)
    mine, other = searched_under(config), searched_under(theirs)
    for name in mine | other:
        if mine.get(name) != other.get(name):
            raise ConfigError(
                f"the calibration in {directory} is of another {name.replace('.', ': ')}:"
                f" {other.get(name)} there, {mine.get(name)} here"
            )
    try:
        found = calibrate(TrialStore(directory).records(), theirs.ranked_by)
    except CalibrationError as error:
        raise ConfigError(f"{directory}: {error}") from error
    final = found.final
    return ProxyNoise(
        run=str(directory.resolve()),
        steps=final.steps,
        num_architectures=found.num_architectures,
        num_seeds=len(found.seeds),
        macs=found.macs,
        criterion=theirs.recipe.criterion,
        noise=final.components.seeds.value,
        seed_tau=final.seed_tau.describe(),
        residual_tau=final.residual_tau.describe(),
    )


def training_conditions(config: SpaceConfig) -> dict[str, object]:
    """What a score depends on beside architecture and seed, by name."""
    return {
        **{f"data.{name}": value for name, value in config.data},
        **{
            f"recipe.{name}": value
            for name, value in config.recipe
            if name not in _RESULT_DEPENDS_NOT_ON
            # It says how many images BN is recalibrated on, and nothing else of a score.
            and (name != "eval_batch_size" or config.recipe.recalibration_batches)
        },
    }


def searched_under(config: SpaceConfig) -> dict[str, object]:
    """What a search finds, and the noise of its scores, depend on beside seeds, by name."""
    limits = [limit.model_dump(exclude={"num_classes"}) for limit in config.narrowing.limits]
    return {
        "space": config.space,
        **{f"space.{name}": choices for name, choices in config.narrowing.choices.items()},
        "space.base": config.narrowing.base,
        "space.limits": limits,
        "recipe.criterion": config.recipe.criterion,
        **training_conditions(config),
    }
