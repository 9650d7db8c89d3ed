"""Training steps of the laptop's networks, this checkout against another, by turns.

    git worktree add ../before COMMIT
    python benchmarks/step_speed.py --against ../before

Each checkout is imported by processes of its own, one thread each, which take turns; a step is
forward, loss, backward, clipping and update by AdamW, on a batch of 8 at 96x128. Prints medians and
their ratio for b1 at a quarter of its widths and for architectures of the laptop's space; wants a
quiet machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
STEP = """
import json, math, sys, time
import torch
from torch import nn
torch.set_num_threads(1)
from hrvit_nas import build_segmentor
from hrvit_nas.arch import parse_arch
from hrvit_nas.training import Recipe, build_optimizer, segmentation_loss, set_learning_rate
try:
    from hrvit_nas.training.optimizer import clip_gradients
except ImportError:
    def clip_gradients(parameters, most):
        return nn.utils.clip_grad_norm_(parameters, most)
torch.manual_seed(0)
recipe = Recipe()
model = build_segmentor(parse_arch(sys.argv[1]), 11).to(memory_format=torch.channels_last).train()
optimizer = build_optimizer(model, recipe)
images = torch.randn(8, 3, 96, 128).contiguous(memory_format=torch.channels_last)
labels = torch.randint(0, 11, (8, 96, 128))
times = []
for step in range(9):
    begun = time.perf_counter()
    set_learning_rate(optimizer, step, recipe)
    loss = segmentation_loss(model(images), labels, 255)
    optimizer.zero_grad()
    loss.backward()
    clip_gradients(model.parameters(), 1.0)
    optimizer.step()
    times.append(time.perf_counter() - begun)
import hrvit_nas
seconds = sorted(times[2:])[3]
print(json.dumps({"seconds": seconds, "loss": float(loss), "package": hrvit_nas.__file__}))
"""


def measured(checkout: Path, arch: str) -> dict[str, Any]:
    """Median seconds of a step, and the loss after the last, by a process of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    # -P: or the package in the current directory would come before that of the checkout.
    command = [sys.executable, "-P", "-c", STEP, arch]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert Path(found["package"]).is_relative_to(checkout.resolve()), found["package"]
    return found


def main() -> None:
    """Prints the table."""
    from random import Random

    from hrvit_nas.arch import get_hrvit, scale_widths
    from hrvit_nas.search.profiles import load_profile
    from hrvit_nas.space import load_space

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, required=True, help="the other checkout")
    parser.add_argument("--archs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    narrowing = load_profile("laptop").narrowing
    space = load_space("heterogeneous_branches").narrow(
        narrowing.choices, limits=narrowing.limits, ignore_unknown=True
    )
    rng = Random(0)
    networks = {"b1 at a quarter": scale_widths(get_hrvit("hrvit_b1"), 0.25)}
    for _ in range(options.archs):
        arch = space.sample(rng)
        networks[arch.id] = arch
    print(f"{'network':<18}{'blocks':>8}{'before s':>10}{'now s':>10}{'ratio':>8}{'losses':>22}")
    ratios = []
    for name, spec in networks.items():
        rounds = [
            [measured(checkout, spec.to_json()) for checkout in (options.against, HERE)]
            for _ in range(options.rounds)
        ]
        before, now = (statistics.median(r[side]["seconds"] for r in rounds) for side in (0, 1))
        losses = " / ".join(f"{rounds[0][side]['loss']:.5f}" for side in (0, 1))
        ratios.append(before / now)
        blocks = sum(branch.blocks for _, _, branch in spec.walk())
        print(f"{name:<18}{blocks:>8}{before:>10.3f}{now:>10.3f}{before / now:>8.2f}{losses:>22}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
