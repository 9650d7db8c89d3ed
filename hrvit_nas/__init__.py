"""Architecture search and ablation for high-resolution vision transformers (HRViT).

The public names are loaded when first used, so that `import hrvit_nas` needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "ArchSpec": "arch",
    "get_arch": "arch",
    "estimate_cost": "cost",
    "load_space": "space",
    "load_benchmark": "results",
    "build_classifier": "models",
    "build_features": "models",
    "build_segmentor": "models",
    "build_supernet": "models",
    "extract": "models",
    "from_pretrained": "models",
    "load_published_state": "models",
    "export_published_state": "models",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
