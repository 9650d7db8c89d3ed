"""Prints HRViT beside its baselines: own counts, published counts, and what HRViT saves.

python analysis/baselines.py
"""

from __future__ import annotations

from hrvit_nas.report import baselines_grid, savings_grid, upernet_grid
from hrvit_nas.report.render import markdown


def main() -> None:
    """Prints all tables as Markdown."""
    print(markdown(baselines_grid()))
    print(markdown(upernet_grid()))
    print(markdown(savings_grid()), end="")


if __name__ == "__main__":
    main()
