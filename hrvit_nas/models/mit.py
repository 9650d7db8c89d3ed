"""MiT, the encoder of SegFormer (Xie et al., NeurIPS 2021), as Hugging Face `transformers` has it.

Needs the extra `baselines`. Nothing is downloaded: networks start from our own initialisation.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..arch import NUM_STAGES, ArchError, PyramidSpec
from .layers import check_images


class MissingExtraError(ArchError, ImportError):
    """An architecture needs a package that is not installed; the message says which has it."""


class MiT(nn.Module):
    """MiT without a head: `(B, 3, H, W)` to four maps, finest first.

    Args:
        spec: The architecture, of family `mit`.
        drop_path_rate: Stochastic-depth rate of the last block; rates rise linearly from 0.

    Raises:
        MissingExtraError: `transformers` is not installed.
    """

    def __init__(self, spec: PyramidSpec, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        try:
            from transformers import SegformerConfig, SegformerModel
        except ImportError as error:
            raise MissingExtraError(
                "mit needs Hugging Face transformers; pip install 'hrvit_nas[baselines]'"
            ) from error
        stages = spec.stages
        config = SegformerConfig(
            num_encoder_blocks=NUM_STAGES,
            depths=[stage.blocks for stage in stages],
            hidden_sizes=[stage.width for stage in stages],
            num_attention_heads=[stage.num_heads for stage in stages],
            sr_ratios=[stage.reduction_ratio for stage in stages if stage.reduction_ratio],
            mlp_ratios=[stage.expansion_ratio for stage in stages],
            patch_sizes=[7, 3, 3, 3],
            strides=[4, 2, 2, 2],
            drop_path_rate=drop_path_rate,
            attn_implementation="sdpa",  # type: ignore[call-arg]  # any keyword is taken
        )
        self.encoder = SegformerModel(config)

    def forward_tokens(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps as tokens `(B, ceil(H / stride), ceil(W / stride), C)`, strides 4, 8, 16, 32.

        Raises:
            ValueError: The image is smaller than 32x32 or has not three channels.
        """
        return [x_bchw.permute(0, 2, 3, 1) for x_bchw in self(image_bchw)]

    def forward(self, image_bchw: Tensor) -> list[Tensor]:
        """Maps `(B, C, h, w)`."""
        check_images(image_bchw)
        return list(self.encoder(image_bchw, output_hidden_states=True).hidden_states)
