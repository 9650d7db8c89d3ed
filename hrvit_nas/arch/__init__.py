"""What a network is: specs, presets, canonical JSON and ids. Standard library only."""

from .presets import PRESETS, get_arch, scale_to_cost, scale_widths
from .spec import (
    ATTENTIONS,
    FEED_FORWARDS,
    FUSIONS,
    HEADED_ATTENTIONS,
    MAX_BRANCHES,
    PATCH_EMBEDDINGS,
    SCHEMA_VERSION,
    SHORTCUTS,
    STRIP_ATTENTIONS,
    ArchError,
    ArchSpec,
    BranchSpec,
    ModuleSpec,
    attention_group_width,
    des_factor,
)

__all__ = [
    "ATTENTIONS",
    "FEED_FORWARDS",
    "FUSIONS",
    "HEADED_ATTENTIONS",
    "MAX_BRANCHES",
    "PATCH_EMBEDDINGS",
    "PRESETS",
    "SCHEMA_VERSION",
    "SHORTCUTS",
    "STRIP_ATTENTIONS",
    "ArchError",
    "ArchSpec",
    "BranchSpec",
    "ModuleSpec",
    "attention_group_width",
    "des_factor",
    "get_arch",
    "scale_to_cost",
    "scale_widths",
]
