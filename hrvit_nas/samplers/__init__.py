"""Samplers behind ask and tell on a search space. Only `optuna_sampler` loads Optuna."""

from .base import (
    REPEATABLE,
    SAMPLERS,
    Proposal,
    Sampler,
    SamplerError,
    SamplerName,
    SpaceExhaustedError,
    Values,
    default_population,
    known_sampler,
)

__all__ = [
    "REPEATABLE",
    "SAMPLERS",
    "Proposal",
    "Sampler",
    "SamplerError",
    "SamplerName",
    "SpaceExhaustedError",
    "Values",
    "default_population",
    "known_sampler",
]
