"""Prints HRViT beside its rivals: own counts, published counts, and what HRViT saves.

python analysis/rivals.py
"""

from __future__ import annotations

from hrvit_nas.report import rivals_grid, savings_grid


def main() -> None:
    """Prints both tables as Markdown."""
    print(rivals_grid().to_markdown())
    print(savings_grid().to_markdown(), end="")


if __name__ == "__main__":
    main()
