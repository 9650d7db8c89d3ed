"""Networks assembled from their spec alone, and how their weights start."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..arch import Arch, ArchError, ArchSpec, PyramidSpec
from .attention import Attention
from .backbone import Backbone
from .classification import ClassificationHead
from .cswin import CSWin
from .description import Description
from .features import FeatureInfo, Features, Indices, feature_info
from .heads import HEAD_MODULES
from .layers import LinearNorm
from .mit import MiT
from .saving import save_folder

INIT_DEVIATION = 0.02


class Network(nn.Module):
    """A backbone and a head.

    Attributes:
        kind: What it is, in `config.json`.
        spec: Its architecture.
        num_classes: Classes that it tells apart.
        description: What its numbers mean, to be saved with it; None = not known.
        provenance: Where its weights come from, as plain data, to be saved with it; None = not
            known.
    """

    kind: ClassVar[str]
    description: Description | None = None
    provenance: Mapping[str, Any] | None = None

    def __init__(
        self, spec: Arch, backbone: Backbone | CSWin | MiT, head: nn.Module, num_classes: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.num_classes = num_classes
        self.backbone = backbone
        self.head = head
        self.apply(initialise)

    def forward_features(self, image_bchw: Tensor) -> list[Tensor]:
        """`(B, 3, H, W)` to the backbone's maps `(B, C, h, w)`, strides 4, 8, 16, 32."""
        return self.backbone(image_bchw)

    @property
    def feature_info(self) -> FeatureInfo:
        """What the backbone's maps are, in the words of timm."""
        return feature_info(self.spec)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Writes `config.json`, `model.safetensors` and a model card, for `from_pretrained`.

        Args:
            save_directory: The folder, made where missing; files of these names are replaced.

        Raises:
            OSError: The folder cannot be written.
            ValueError: `description` is of another number of classes.
        """
        save_folder(
            save_directory,
            self,
            spec=self.spec,
            kind=self.kind,
            num_classes=self.num_classes,
            description=self.description,
            provenance=self.provenance,
        )

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads what `save_pretrained` writes to the Hugging Face Hub; returns the commit's URL.

        Args:
            repo_id: `OWNER/NAME`; made where there is none.
            **options: Of `huggingface_hub.ModelHubMixin.push_to_hub`, such as `private`, `token`,
                `branch`, `commit_message` and `create_pr`.
        """
        from .hub import push

        return push(self.save_pretrained, repo_id, **options)


class Segmentor(Network):
    """`(B, 3, H, W)` to logits `(B, num_classes, H, W)`."""

    kind = "segmentor"

    def forward(self, image_bchw: Tensor) -> Tensor:
        logits_bhwc = self.head(self.backbone.forward_tokens(image_bchw))
        return resized_planes(logits_bhwc, image_bchw.shape[2:])


class Classifier(Network):
    """`(B, 3, H, W)` to logits `(B, num_classes)`."""

    kind = "classifier"

    def forward(self, image_bchw: Tensor) -> Tensor:
        return self.head(self.backbone.forward_tokens(image_bchw))


def resized_planes(logits_bhwc: Tensor, size: Sequence[int]) -> Tensor:
    """Logits of tokens `(B, h, w, num_classes)` as `(B, num_classes, H, W)`."""
    # A plane a class: a softmax over few classes is many times faster across planes than
    # along a short last dimension.
    logits_bkhw = logits_bhwc.permute(0, 3, 1, 2).contiguous()
    return F.interpolate(logits_bkhw, size=size, mode="bilinear", align_corners=False)


def build_segmentor(spec: Arch, num_classes: int, *, drop_path_rate: float = 0.0) -> Segmentor:
    """Builds a segmentation network.

    Args:
        spec: The architecture.
        num_classes: Classes to tell apart, at least 1.
        drop_path_rate: Stochastic-depth rate of the last block, 0 to below 1.

    Returns:
        A module that maps `(B, 3, H, W)`, H and W of at least 32, to logits
        `(B, num_classes, H, W)`; `.forward_features(x)` gives the four maps.

    Raises:
        ValueError: A number is out of range, or the architecture needs a package that is not
            installed.
    """
    check_numbers(num_classes, drop_path_rate)
    head = HEAD_MODULES[spec.head_kind](spec.out_widths, spec.head_width, num_classes)
    return Segmentor(spec, _build_backbone(spec, drop_path_rate), head, num_classes)


def _build_backbone(spec: Arch, drop_path_rate: float) -> Backbone | CSWin | MiT:
    if isinstance(spec, PyramidSpec):
        return (MiT if spec.family == "mit" else CSWin)(spec, drop_path_rate)
    return Backbone(spec, drop_path_rate)


def build_classifier(
    spec: ArchSpec, num_classes: int = 1000, *, drop_path_rate: float = 0.0, dropout: float = 0.0
) -> Classifier:
    """Builds an image classifier with HRNet's head.

    Args:
        spec: The architecture.
        num_classes: Classes to tell apart, at least 1.
        drop_path_rate: Stochastic-depth rate of the last block, 0 to below 1.
        dropout: Dropout rate before the last linear map.

    Returns:
        A module that maps `(B, 3, H, W)`, H and W of at least 32, to logits `(B, num_classes)`.

    Raises:
        ValueError: A number is out of range, or the architecture is a pyramid.
    """
    check_numbers(num_classes, drop_path_rate)
    if not isinstance(spec, ArchSpec):
        raise ArchError(f"a classifier is built from an HRViT alone, got a {spec.family} pyramid")
    head = ClassificationHead(spec.out_widths, num_classes, dropout)
    return Classifier(spec, Backbone(spec, drop_path_rate), head, num_classes)


def build_features(
    spec: Arch, *, out_indices: Indices | None = None, drop_path_rate: float = 0.0
) -> Features:
    """Builds a backbone for another head, as timm's `features_only` does.

    Args:
        spec: The architecture; its head is not built.
        out_indices: Maps to return, 0 the finest; a number means as many of the last. By default
            all.
        drop_path_rate: Stochastic-depth rate of the last block, 0 to below 1.

    Returns:
        A module that maps `(B, 3, H, W)` to a list of maps `(B, C, h, w)`, with `feature_info`.

    Raises:
        ValueError: A number is out of range, or the architecture needs a package that is not
            installed.
    """
    check_numbers(1, drop_path_rate)
    features = Features(spec, _build_backbone(spec, drop_path_rate), out_indices)
    return features.apply(initialise)


def tie_initialisation(model: nn.Module, seed: int) -> None:
    """Draws the first weights anew, each module's from the seed and its name alone.

    Networks that share a module by name and shape then start alike there, whatever else differs
    between them.

    Args:
        model: A network as built; whatever it learnt is lost.
        seed: Any integer.
    """
    with torch.random.fork_rng(devices=[]):
        for name, module in model.named_modules():
            digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=7).digest()
            torch.default_generator.manual_seed(int.from_bytes(digest, "big"))
            initialise(module)


def check_numbers(num_classes: int, drop_path_rate: float) -> None:
    """Refuses what no network can be built with.

    Raises:
        ValueError: A number is out of range.
    """
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if not 0 <= drop_path_rate < 1:
        raise ValueError(f"drop_path_rate must be at least 0 and below 1, got {drop_path_rate}")


def initialise(module: nn.Module) -> None:
    """Linear maps from a truncated normal of deviation 0.02, convolutions by fan-out, zero biases.

    The norm after an attention's output starts at zero, so that a block starts as its shortcut.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=INIT_DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.weight[0, 0].numel() * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2.0 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, Attention) and isinstance(module.to_output, LinearNorm):
        nn.init.zeros_(module.to_output.norm.weight)
