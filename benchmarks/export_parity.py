"""How far exported programs are from their networks: every attention kind, switch and head.

Each row is a small network with drawn weights and statistics, none of them zero, traced once and
then run at three sizes, of which 32 divides the first alone, in batches of one, two and one. A
figure is the largest difference of a logit over the larger of 1 and the largest logit. Run as
`python benchmarks/export_parity.py [--only NAME ...] [--preset hrvit_b1]`; it needs the extra
`export`, and takes about a minute a row.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from hrvit_nas.arch import Arch, ArchSpec, BranchSpec, ModuleSpec, get_arch, scale_widths
from hrvit_nas.models import Network, build_classifier, build_segmentor
from hrvit_nas.models.exporting import (
    CHECKED_SIZES,
    TOLERANCE,
    differences,
    export_program,
    onnx_runner,
    write_onnx,
)

NUM_CLASSES = 5
BRANCH = BranchSpec(width=16, blocks=1, expansion_ratio=2, strip_width=3, head_dim=4)
KINDS = {
    "cross_shaped": {},
    "window": {"attention": "window"},
    "spatial_reduction": {"attention": "spatial_reduction", "strip_width": None},
    "convolution": {"attention": "convolution", "strip_width": None, "head_dim": None},
}
SWITCHES = {
    "kv_sharing": False,
    "parallel_conv": False,
    "extra_nonlinearity": False,
    "feed_forward": "ffn",
    "patch_embedding": "convolution",
    "shortcut": "identity",
}


def small(branch: BranchSpec, *, fusion: str = "dense", head_kind: str = "segformer") -> ArchSpec:
    """Two branches, of strips of 3 and 7 tokens where there are any; with sparse fusion three."""
    wide = replace(branch, width=32)
    if branch.strip_width is not None:
        wide = replace(wide, strip_width=7)
    branches = (branch, wide, wide)
    modules = [ModuleSpec(branches=branches[:count]) for count in (1, 2)]
    if fusion == "sparse":
        modules += [ModuleSpec(branches=branches), ModuleSpec(branches=branches, fusion="sparse")]
    return ArchSpec(stem_width=8, head_width=16, modules=tuple(modules), head_kind=head_kind)


def cswin() -> Arch:
    """A CSWin of one block a stage."""
    spec = scale_widths(get_arch("cswin_ti"), 0.25)
    return replace(spec, stages=tuple(replace(stage, blocks=1) for stage in spec.stages))


def variants() -> dict[str, Arch]:
    """Architectures by what is tried of them."""
    found: dict[str, Arch] = {
        kind: small(replace(BRANCH, **changes)) for kind, changes in KINDS.items()
    }
    for name, value in SWITCHES.items():
        found[f"{name}={str(value).lower()}"] = small(replace(BRANCH, **{name: value}))
    for kind in ("window", "spatial_reduction"):
        changed = replace(BRANCH, **KINDS[kind], kv_sharing=False)
        found[f"{kind}, kv_sharing=false"] = small(changed)
    found["fusion=sparse"] = small(BRANCH, fusion="sparse")
    found["head=upernet"] = small(BRANCH, head_kind="upernet")
    found["cswin"] = cswin()
    return found


def awake(model: Network) -> Network:
    """Draws every tensor, so that no part of the network is without effect."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        drawn = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif tensor.dim() > 1:
            tensor.copy_(drawn / tensor[0].numel() ** 0.5)
        else:
            tensor.copy_(float(name.endswith("weight")) + 0.1 * drawn)
    return model.eval()


def row(name: str, model: Network, folder: Path) -> tuple[str, float]:
    """A row of the table, and the largest of its figures."""
    begun = time.perf_counter()
    program = export_program(model)
    path = folder / "network.onnx"
    write_onnx(program, path, model, normalised=False)
    seconds = time.perf_counter() - begun
    runs = (onnx_runner(path), program.module())
    figures = [figure for run in runs for figure in differences(run, model)]
    cells = " | ".join(f"{figure:.1e}" for figure in figures)
    return f"| {name} | {cells} | {seconds:.0f} |", max(figures)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="rows to print")
    parser.add_argument("--preset", nargs="*", default=[], help="architectures of full size too")
    options = parser.parse_args()
    models = {
        name: build_segmentor(spec, NUM_CLASSES)
        for name, spec in variants().items()
        if options.only is None or name in options.only
    }
    if options.only is None or "classifier" in options.only:
        models["classifier"] = build_classifier(small(BRANCH), NUM_CLASSES)
    models |= {name: build_segmentor(get_arch(name), 19) for name in options.preset}
    sizes = [f"{height}x{width}" for height, width in CHECKED_SIZES]
    heads = [f"{kind} {size}" for kind in ("ONNX", "exported") for size in sizes]
    print(f"| network | {' | '.join(heads)} | s to trace |")
    print("|---" * (len(heads) + 2) + "|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            line, figure = row(name, awake(model), Path(folder))
            print(line, flush=True)
            worst = max(worst, figure)
    print(f"\nlargest: {worst:.1e} (allowed: {TOLERANCE:g})")


if __name__ == "__main__":
    main()
