"""The specs of the baselines, and their scaling."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrvit_nas.arch import (
    HEAD_KINDS,
    PRESETS,
    REFERENCES,
    ArchError,
    ArchSpec,
    PyramidSpec,
    PyramidStage,
    get_arch,
    get_hrvit,
    parse_arch,
    scale_to_cost,
    scale_widths,
)
from hrvit_nas.cost import estimate_cost

PYRAMIDS = [name for name in REFERENCES if name != "hrnet_cswin"]


@st.composite
def pyramids(draw):
    family = draw(st.sampled_from(["mit", "cswin"]))
    stages = []
    for index in range(4):
        heads = 2 * draw(st.integers(1, 4))
        only = (
            {"reduction_ratio": draw(st.integers(1, 8 >> index))}
            if family == "mit"
            else {"strip_width": draw(st.none() | st.integers(1, 14))}
        )
        stages.append(
            PyramidStage(
                width=heads * draw(st.integers(1, 8)),
                blocks=draw(st.integers(1, 3)),
                num_heads=heads,
                expansion_ratio=draw(st.integers(1, 4)),
                **only,
            )
        )
    return PyramidSpec(
        family=family,
        stages=stages,
        head_width=draw(st.integers(1, 64)),
        head_kind=draw(st.sampled_from(list(HEAD_KINDS))),
    )


@given(pyramids())
def test_a_pyramid_is_what_its_json_says(spec):
    assert PyramidSpec.from_json(spec.to_json()) == spec
    again = parse_arch(json.dumps(json.loads(spec.to_json())))
    assert again == spec
    assert again.id == spec.id
    assert hash(again) == hash(spec)


@pytest.mark.parametrize("name", [*PRESETS, *REFERENCES])
def test_each_name_has_an_architecture_that_its_json_gives_back(name):
    spec = get_arch(name)
    assert parse_arch(spec.to_json()) == spec
    assert isinstance(spec, PyramidSpec) == (name in PYRAMIDS)
    assert spec.num_branches == len(spec.out_widths) == 4


def test_ids_tell_all_architectures_apart():
    names = (*PRESETS, *REFERENCES)
    assert len({get_arch(name).id for name in names}) == len(names)


@given(pyramids(), st.floats(0.05, 4))
def test_a_scaled_pyramid_keeps_all_but_its_widths(spec, factor):
    scaled = scale_widths(spec, factor)
    for stage, before in zip(scaled.stages, spec.stages, strict=True):
        assert (stage.blocks, stage.num_heads, stage.strip_width, stage.reduction_ratio) == (
            before.blocks,
            before.num_heads,
            before.strip_width,
            before.reduction_ratio,
        )
        assert abs(stage.width - before.width * factor) <= max(before.num_heads, 1)
    assert scale_widths(spec, 1.0) == spec


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("target", [4e7, 2e8])
def test_a_baseline_is_brought_to_a_cost(name, target):
    def macs(spec):
        return float(estimate_cost(spec, (96, 128)).macs)

    scaled = scale_to_cost(get_arch(name), macs, target)
    assert type(scaled) is type(get_arch(name))
    # Widths are multiples of the number of heads, which is coarse for a small MiT.
    assert macs(scaled) == pytest.approx(target, rel=0.12)


def test_scaling_to_its_own_cost_changes_nothing():
    spec = get_arch("cswin_t")

    def macs(candidate):
        return float(estimate_cost(candidate, (96, 128)).macs)

    assert macs(scale_to_cost(spec, macs, macs(spec))) == macs(spec)


STAGE = {"width": 8, "blocks": 1, "num_heads": 2, "expansion_ratio": 4}
REFUSED = {
    "a head that does not fit": ({"width": 9}, "multiple of num_heads=2, got 9"),
    "no blocks": ({"blocks": 0}, "blocks must be an integer of at least 1, got 0"),
    "a strip of nothing": ({"strip_width": 0}, "strip_width must be an integer of at least 1"),
    "a mask": ({"expansion_ratio": True}, "expansion_ratio must be an integer"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stage_that_is_none_is_refused(name):
    changes, message = REFUSED[name]
    with pytest.raises(ArchError, match=message):
        PyramidStage(**{**STAGE, **changes})


@pytest.mark.parametrize(
    ("family", "changes", "count", "message"),
    [
        ("swin", {}, 4, "family must be one of mit, cswin; got 'swin'"),
        ("cswin", {}, 3, "a pyramid has 4 stages, got 3"),
        ("cswin", {"reduction_ratio": 2}, 4, "stage 1: reduction_ratio is of mit"),
        ("mit", {}, 4, "stage 1: reduction_ratio is of mit, and of it alone; got None for mit"),
        ("mit", {"reduction_ratio": 1, "strip_width": 7}, 4, "mit has no strips"),
        ("mit", {"reduction_ratio": 8}, 4, "stage 2: reduction_ratio must be at most 4, .* got 8"),
        ("cswin", {"num_heads": 1, "strip_width": 7}, 4, "num_heads must be even, got 1"),
    ],
)
def test_a_pyramid_that_is_none_is_refused(family, changes, count, message):
    stages = [PyramidStage(**{**STAGE, **changes})] * count
    with pytest.raises(ArchError, match=message):
        PyramidSpec(family=family, stages=stages, head_width=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "schema_version must be 1, got 2"),
        ({"depth": 2}, "unknown key 'depth'"),
        ({"stages": 3}, "stages must hold a list"),
        ({"stages": [{}] * 4}, "stage 1: "),
    ],
)
def test_json_that_is_no_pyramid_is_refused(change, message):
    data = {**get_arch("cswin_t").to_dict(), **change}
    with pytest.raises(ArchError, match=message):
        parse_arch(json.dumps(data))


def test_json_of_a_pyramid_is_no_hrvit():
    with pytest.raises(ArchError, match="modules of branches, got a pyramid of family 'cswin'"):
        ArchSpec.from_json(get_arch("cswin_t").to_json())


@pytest.mark.parametrize("text", ["[]", "{", "3", "{}"])
def test_what_is_no_architecture_is_refused(text):
    with pytest.raises(ArchError):
        parse_arch(text)


def test_a_misspelt_name_is_answered_with_what_it_may_have_meant():
    with pytest.raises(ArchError, match=r"known: hrvit_b1.*cswin_s; did you mean 'mit_b0'\?"):
        get_arch("mit-b0")


def test_a_base_is_an_hrvit():
    assert isinstance(get_hrvit("hrnet_cswin"), ArchSpec)
    with pytest.raises(ArchError, match="must be an HRViT, got 'mit_b0', a pyramid of stages"):
        get_hrvit("mit_b0")
