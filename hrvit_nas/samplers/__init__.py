"""Samplers behind ask and tell on a search space. No torch, no ray."""

from .first import first_generation
from .optuna_sampler import (
    OptunaSampler,
    Proposal,
    Sampler,
    SamplerError,
    SamplerName,
    SpaceExhaustedError,
    default_population,
)

__all__ = [
    "OptunaSampler",
    "Proposal",
    "Sampler",
    "SamplerError",
    "SamplerName",
    "SpaceExhaustedError",
    "default_population",
    "first_generation",
]
