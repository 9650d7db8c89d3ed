"""The published allocation in a space, at any cost."""

import numpy as np
import pytest

from hrvit_nas.arch import ArchError, get_arch, scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.search.profiles import Profile, load_profile
from hrvit_nas.space import load_space
from hrvit_nas.space.allocation import scaled_arch

B1 = get_arch("hrvit_b1")


def narrowed(name, space="heterogeneous_branches"):
    """The space as a profile narrows it, and the profile's range of multiply-adds."""
    profile: Profile = load_profile(name)
    narrowing = profile.narrowing
    base = narrowing.base and scale_widths(
        get_arch(narrowing.base.arch), narrowing.base.width_factor
    )
    found = load_space(space).narrow(
        narrowing.choices, base=base, limits=narrowing.limits, ignore_unknown=True
    )
    (limit,) = narrowing.limits
    return found, limit


@pytest.mark.parametrize("name", ["laptop", "cluster"])
def test_the_allocation_of_b1_is_in_the_space_at_every_cost_in_the_range(name):
    space, limit = narrowed(name)

    def macs(spec):
        return float(estimate_cost(spec, limit.image_size, num_classes=limit.num_classes).macs)

    for target in np.geomspace(1.01 * limit.min, 0.99 * limit.max, 8):
        arch = scaled_arch(space, B1, macs, target)
        assert arch is not None, target
        assert space.refusal(arch) is None
        assert abs(macs(arch) / target - 1) <= 0.01
        for mine, theirs in zip(arch.modules, B1.modules, strict=True):
            for a, b in zip(mine.branches, theirs.branches, strict=True):
                assert (a.blocks, a.expansion_ratio, a.strip_width) == (
                    *(b.blocks, b.expansion_ratio, b.strip_width),
                )
        widths = np.array([arch.stem_width, arch.head_width, *arch.out_widths])
        shape = np.log(widths / np.array([B1.stem_width, B1.head_width, *B1.out_widths]))
        assert np.ptp(shape) < 0.9  # proportional, as far as widths of a few channels can be


def test_the_preset_itself_is_found():
    space, _ = narrowed("cluster")

    def params(spec):
        return float(estimate_cost(spec, (512, 512), num_classes=19).params)

    assert scaled_arch(space, B1, params, params(B1)) == B1


def test_a_space_without_the_allocation_has_no_such_architecture():
    space, limit = narrowed("laptop")
    shallow = space.narrow({"blocks_3_3": [1, 2]})

    def macs(spec):
        return float(estimate_cost(spec, limit.image_size).macs)

    assert scaled_arch(shallow, B1, macs, 2e7) is None
    assert scaled_arch(space, B1, macs, 1e3) is None
    with pytest.raises(ArchError, match="must be positive, got 0"):
        scaled_arch(space, B1, macs, 0)
