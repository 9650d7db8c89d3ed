"""Prints HRViT beside its rivals: own counts, published counts, and what HRViT saves.

python analysis/rivals.py
"""

from __future__ import annotations

from hrvit_nas.report import rivals_grid, savings_grid
from hrvit_nas.report.render import markdown


def main() -> None:
    """Prints both tables as Markdown."""
    print(markdown(rivals_grid()))
    print(markdown(savings_grid()), end="")


if __name__ == "__main__":
    main()
