"""Microseconds that a cost estimate takes, for architectures never seen and seen before.

Run as `python benchmarks/cost_speed.py [--space joint] [--archs 500]`.
"""

from __future__ import annotations

import argparse
import random
import time

from hrvit_nas import ArchSpec, estimate_cost, load_space


def microseconds(specs: list[ArchSpec]) -> float:
    """Mean time of an estimate over all specs."""
    begun = time.perf_counter()
    for spec in specs:
        estimate_cost(spec)
    return (time.perf_counter() - begun) / len(specs) * 1e6


def main() -> None:
    """Prints two lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="joint")
    parser.add_argument("--archs", type=int, default=500)
    options = parser.parse_args()
    space, rng = load_space(options.space), random.Random(0)
    specs = [space.sample(rng) for _ in range(options.archs)]
    print(f"{len(specs)} architectures of {options.space}, microseconds an estimate")
    print(f"first time  {microseconds(specs):7.1f}")
    print(f"again       {microseconds(specs):7.1f}")


if __name__ == "__main__":
    main()
