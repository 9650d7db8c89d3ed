"""Samplers behind ask and tell on a search space. Only `optuna_sampler` loads Optuna."""

from .base import (
    Proposal,
    Sampler,
    SamplerError,
    SamplerName,
    SpaceExhaustedError,
    Values,
    default_population,
)
from .first import first_generation

__all__ = [
    "Proposal",
    "Sampler",
    "SamplerError",
    "SamplerName",
    "SpaceExhaustedError",
    "Values",
    "default_population",
    "first_generation",
]
