"""Architectures by name: presets, files, those of runs."""

import pytest

from hrvit_nas.arch import get_arch
from hrvit_nas.results import TrialStore
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.named_arch import find_base
from hrvit_nas.space import apply_edits

B1 = get_arch("hrvit_b1")
EDITS = (
    {"modules.*.branches.*.shortcut": "identity"},
    {"modules.*.branches.*.parallel_conv": False},
    {"modules.*.branches.*.feed_forward": "ffn"},
)


def test_a_base_is_a_preset_a_file_or_one_of_a_run(tmp_path, record):
    assert find_base("hrvit_b2") == (get_arch("hrvit_b2"), True)
    file = tmp_path / "arch.json"
    file.write_text(apply_edits(B1, EDITS[0]).to_json())
    assert find_base(str(file)) == (apply_edits(B1, EDITS[0]), False)
    specs = [apply_edits(B1, edits) for edits in EDITS]
    run = tmp_path / "run"
    with TrialStore(run, write=True) as store:
        for number, (spec, miou, cost) in enumerate(
            zip(specs, (0.3, 0.5, 0.4), (1, 2, 3), strict=True)
        ):
            store.append(
                record(number=number, arch_id=spec.id, arch=spec.to_json(), miou=miou, macs=cost)
            )
    assert find_base(str(run)) == (specs[1], False), "the best of the frontier"
    assert find_base(f"{run}:{specs[2].id}") == (specs[2], False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hrvit_b9", "hrvit_b9.*or a .json file, a run directory, or RUN:ID"),
        ("mit_b0", "must be an HRViT, got 'mit_b0'"),
        ("none.json", "none.json"),
        ("no/run", "no/run"),
        ("no/run:0123456789ab", "no/run"),
    ],
)
def test_a_base_that_is_none_is_named(name, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        find_base(name)
