"""Spaces small enough to enumerate, for the tests of this folder."""

from itertools import product

from hrvit_nas.arch import ATTENTIONS, ArchSpec, BranchSpec, ModuleSpec
from hrvit_nas.space import Forbid, Gene, Nondecreasing, Space, SpaceError


def branch(width, **fields):
    return BranchSpec(
        **{"width": width, "blocks": 1, "expansion_ratio": 2, "strip_width": 2, "head_dim": 8}
        | fields
    )


BASE = ArchSpec(
    stem_width=16,
    head_width=32,
    modules=(
        ModuleSpec(branches=(branch(16),)),
        ModuleSpec(branches=(branch(16), branch(32))),
        ModuleSpec(branches=(branch(16), branch(32), branch(64))),
        ModuleSpec(branches=(branch(16), branch(32), branch(64))),
    ),
)


def gene(name, field, *choices, when=None):
    return Gene(name=name, field=field, choices=choices, when=tuple((when or {}).items()))


def per_branch(name, field, *choices, branches=(1, 2)):
    return [gene(f"{name}_{b}", f"modules.*.branches.{b}.{field}", *choices) for b in branches]


def small(*genes, base=BASE, **fields):
    return Space(name="small", base=base, genes=genes, **fields)


SPACES = {
    "free": small(
        gene("stem", "stem_width", 8, 16),
        gene("fusion", "modules.4.fusion", "dense", "sparse"),
        gene("depth", "modules.3.branches.3.blocks", 1, 2, 4),
        gene("head", "head_kind", "segformer", "upernet"),
    ),
    "heads": small(
        gene("head_dim", "modules.*.branches.*.head_dim", 16, 4, 8, 12, 24),
        *per_branch("width", "width", 8, 16, 24, 40, 48, branches=(1, 2, 3)),
        constraints=(Nondecreasing(("width_1", "width_2", "width_3")),),
    ),
    "kinds": small(
        *per_branch("attention", "attention", *ATTENTIONS),
        *per_branch("strip", "strip_width", 1, 2),
        gene("sharing", "modules.*.branches.*.kv_sharing", True, False),
        *per_branch("parallel", "parallel_conv", True, False, branches=(2,)),
        gene("head_dim", "modules.*.branches.2.head_dim", 4, 16, 32),
        constraints=(Forbid((("attention_1", ("window",)), ("strip_1", (1,)))),),
    ),
    "kinds of each module": small(
        gene("attention_11", "modules.1.branches.1.attention", "window", "convolution"),
        gene("attention_21", "modules.2.branches.1.attention", "cross_shaped", "convolution"),
        gene("attention_22", "modules.2.branches.2.attention", "convolution"),
        gene("strip", "modules.*.branches.1.strip_width", 1, 7),
        gene("width_1", "modules.*.branches.1.width", 8, 10, 16, 48),
        gene("shortcut", "modules.*.branches.1.shortcut", "des", "identity"),
    ),
    "conditions": small(
        gene("ratio", "modules.*.branches.1.expansion_ratio", 1, 2, 3),
        gene("feed", "modules.*.branches.1.feed_forward", "mix_cfn", "ffn", when={"ratio": (1, 2)}),
        gene("deep", "modules.4.branches.1.blocks", 1, 2, when={"feed": ("ffn",), "ratio": (1,)}),
        gene("mix", "modules.2.branches.2.attention", "window", "convolution", when={"deep": (2,)}),
        gene("strip", "modules.2.branches.2.strip_width", 3, 4, when={"ratio": (1, 3)}),
        constraints=(Forbid((("feed", ("ffn",)), ("strip", (3,)))),),
    ),
}  # fmt: skip


def all_archs(space):
    """All architectures within the limits, by trying every combination of codes."""
    found = []
    for codes in product(*(range(-1, len(gene.choices)) for gene in space.genes)):
        try:
            spec = space.decode(codes)
        except SpaceError:
            continue
        if space.contains(spec):
            found.append(spec)
    return found
