"""Scores of a supernet's subnets with inherited weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..arch import ArchSpec
from ..models import Segmentor, Supernet, recalibrate
from .confusion import Evaluation
from .inference import mixed_precision


@dataclass(frozen=True, kw_only=True)
class InheritedScores:
    """Scores of one subnet.

    Attributes:
        before: With the batch statistics of a fresh network.
        after: With those estimated anew for the subnet, by BN recalibration.
    """

    before: Evaluation
    after: Evaluation


def inherited_subnet(supernet: Supernet, spec: ArchSpec) -> Segmentor:
    """A subnet in eval mode, whatever the supernet's mode; no gradient goes through it.

    Raises:
        SpaceError: The architecture is not in the supernet's space.
    """
    training = supernet.training
    supernet.eval()
    try:
        with torch.no_grad():
            return supernet.subnet(spec)
    finally:
        supernet.train(training)


def score_inherited(
    supernet: Supernet,
    spec: ArchSpec,
    recalibration_batches: Iterable[tuple[Tensor, Tensor]],
    evaluate: Callable[[torch.nn.Module], Evaluation],
    device: torch.device,
) -> InheritedScores:
    """Scores a subnet before and after BN recalibration.

    The supernet keeps nothing of it.

    Args:
        supernet: Already on `device`.
        spec: The subnet.
        recalibration_batches: Images and labels at evaluation size, on `device`; of the images the
            batch statistics are estimated.
        evaluate: Scores a network on the validation set.
        device: Where to run.

    Raises:
        SpaceError: The architecture is not in the supernet's space.
    """
    subnet = inherited_subnet(supernet, spec)
    before = evaluate(subnet)
    with mixed_precision(device):
        recalibrate(subnet, recalibration_batches)
    return InheritedScores(before=before, after=evaluate(subnet))
