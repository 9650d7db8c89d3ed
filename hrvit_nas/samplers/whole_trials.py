"""Optuna's database for trials that are written as a whole."""

from __future__ import annotations

from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models


class WholeTrials(RDBStorage):
    """Writes all parameters of a new trial at once.

    Optuna asks the database twice about each, the trial's state and whether the parameter fits
    those of other trials, and sends it before it asks about the next: most of what a proposal
    cost. The study in memory, where each trial comes from, has asked that already. An Optuna that
    does not call this method writes as it always did.
    """

    def _set_trial_param_without_commit(
        self,
        session: Any,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,  # noqa: ARG002
    ) -> None:
        session.add(
            models.TrialParamModel(
                trial_id=trial_id,
                param_name=param_name,
                param_value=param_value_internal,
                distribution_json=distribution_to_json(distribution),
            )
        )
