"""Configurations on disk: any version's are read, and contradictions cannot be written."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, reject
from hypothesis import strategies as st
from pydantic import ValidationError

from hrvit_nas.arch import get_hrvit, scale_widths
from hrvit_nas.execution import Resources
from hrvit_nas.samplers.base import SAMPLERS
from hrvit_nas.search.ablation import load_ablation
from hrvit_nas.search.ablation_config import AblationConfig
from hrvit_nas.search.ablation_space import plan_space
from hrvit_nas.search.arms import make_arms
from hrvit_nas.search.config import AnySearch, CalibrationConfig, SearchConfig, SupernetSearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.kinds import KINDS
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.stored import parse_config, read_config, write_config
from hrvit_nas.training.recipe import RENAMED

REPOSITORY = Path(__file__).parents[2]
NOISE = {
    **{"run": "runs/calibration", "steps": 1, "num_architectures": 6, "num_seeds": 2},
    **{"macs": [1, 2], "noise": 0.02, "seed_tau": "0.5", "residual_tau": "0.4"},
}


@pytest.fixture(scope="module")
def ablation():
    """Makes the configuration of an ablation of strip widths, with some fields changed."""
    plan = load_ablation("strip_width")
    base = scale_widths(get_hrvit("hrvit_b1"), 0.25)
    made = make_arms(plan, base, macs=lambda spec: 1.0, controls=False)

    def make(**changes):
        values = {
            **{"kind": "ablation", "plan": "strip_width", "base": "hrvit_b1", "factor": 0.25},
            **{"arms": made.arms, "num_classes": 10, "num_seeds": 4},
            "data": {"name": "scenes", "image_size": [32, 48]},
            "recipe": {"steps": 2, "warmup_steps": 0},
        }
        return parse_config({**values, **changes})

    make.space = plan_space(plan, made.whole)
    return make


@pytest.fixture
def every_kind(make_config, ablation):
    return [
        make_config(confirm=2, finalists=1, proxy_noise=NOISE),
        make_config("supernet_search", ranking_check=6, ranking_seeds=3, retrain=5),
        make_config("calibration", architectures=8, num_seeds=3, wanted_tau=0.5),
        ablation(),
        ablation(supernet={"steps": 9}, as_started=ablation.space.to_dict()),
    ]


def started(config):
    """As a run has it: with its space."""
    if config.kind == "ablation":
        return config
    return config.model_copy(update={"as_started": config.load_space().to_dict()})


def test_what_is_written_is_read_again(every_kind, tmp_path):
    for number, config in enumerate(every_kind):
        layout = RunLayout(tmp_path / str(number))
        layout.directory.mkdir()
        write_config(layout, started(config))
        again = read_config(layout.directory)
        assert type(again) is type(config)
        assert again.model_dump(mode="json") == started(config).model_dump(mode="json")
    assert {config.kind for config in every_kind} == KINDS.keys()


def as_before(config):
    """The fields as the version before wrote them, which had one configuration for three kinds."""
    old = config.model_dump(mode="json", exclude={"kind", "as_started"})
    (old["cost"],) = old.pop("costs")
    noise = old.pop("proxy_noise", None)
    own = {"standing": noise, "strategy": "trials", "calibrate": 0, "trust": 0}
    own |= {"calibration_seeds": 2, "wanted_tau": 0.7, "retrain": 4, "supernet": {"steps": 400}}
    own |= {"inherited_criterion": "cross_entropy", "trials": 12, "sampler": "nsga2"}
    own |= {"references": ["hrvit_b1"], "confirm": 0, "finalists": None, "initial": []}
    own |= {"population": None, "storage": None, "study": "search"}
    del old["resources"]["executor"]
    match config:
        case CalibrationConfig():
            own["calibrate"] = old.pop("architectures")
            own["calibration_seeds"] = old.pop("num_seeds")
        case SupernetSearchConfig():
            own |= {"strategy": "supernet", "trust": old.pop("ranking_check")}
            own["calibration_seeds"] = old.pop("ranking_seeds")
            for before, now in RENAMED.items():
                old["supernet"][before] = old["supernet"].pop(now)
    return {**own, **old}


def test_a_run_of_the_version_before_is_of_its_kind(every_kind, ablation, tmp_path):
    for number, config in enumerate(every_kind):
        directory = tmp_path / str(number)
        directory.mkdir()
        if config.kind == "ablation":
            old = config.model_dump(mode="json", exclude={"kind", "as_started"})
            old["seeds"] = old.pop("num_seeds")
            content = {"ablation": old, "image_size": [32, 48]}
            if config.supernet is not None:
                declare(ablation.space, directory)
        else:
            space = config.load_space().to_dict()
            content = {"config": as_before(config), "image_size": [32, 48], "space": space}
        (directory / "config.json").write_text(json.dumps(content))
        resources = config.resources.model_copy(update={"executor": "ray_tune"})
        expected = started(config).model_copy(update={"resources": resources})
        found = read_config(directory)
        assert type(found) is type(config)
        if config.kind == "ablation" and config.supernet is not None:
            assert found.as_started["genes"] == expected.as_started["genes"]
            expected = expected.model_copy(update={"as_started": found.as_started})
        assert found.model_dump(mode="json") == expected.model_dump(mode="json")


def test_a_run_that_knew_of_one_cost_still_has_it(make_config, tmp_path):
    """After kinds came, and before a search had several costs."""
    config = make_config(costs=["params"], proxy_noise=NOISE, confirm=1)
    old = config.model_dump(mode="json", exclude={"as_started"})
    (old["cost"],) = old.pop("costs")
    del old["proxy_noise"]["criterion"]
    content = {"config": old, "image_size": [32, 48], "space": config.load_space().to_dict()}
    (tmp_path / "config.json").write_text(json.dumps(content))
    found = read_config(tmp_path, SearchConfig)
    assert (found.costs, found.counted_cost) == (("params",), "params")
    assert found.proxy_noise.criterion == "miou", "noise was of no other score"
    assert found.model_dump(mode="json") == started(config).model_dump(mode="json")


def test_fields_of_a_supernets_recipe_are_read_under_the_names_that_they_had(
    make_config, ablation, tmp_path
):
    """After kinds came, and before a supernet's recipe named them as any other recipe does."""
    space = ablation.space.to_dict()
    supernet = {"steps": 9, "recalibration_batches": 7, "random_subnets": 3}
    for config in (
        started(make_config("supernet_search", supernet=supernet)),
        ablation(supernet=supernet, as_started=space),
    ):
        old = config.model_dump(mode="json", exclude={"as_started"})
        for before, now in RENAMED.items():
            old["supernet"][before] = old["supernet"].pop(now)
        content = {"config": old, "image_size": [32, 48], "space": config.as_started}
        (tmp_path / "config.json").write_text(json.dumps(content))
        found = read_config(tmp_path)
        assert (found.supernet.recalibration_batches, found.supernet.random_subnets) == (7, 3)
        assert found.model_dump(mode="json") == config.model_dump(mode="json")


def declare(space, directory):
    """A space as ablations kept it beside their configuration."""
    content = {
        "schema_version": 1,
        "description": "x",
        "base": "base.json",
        "genes": {
            gene.name: {"field": gene.field, "choices": list(gene.choices)} for gene in space.genes
        },
    }
    (directory / "base.json").write_text(space.base.to_json())
    (directory / "space.yaml").write_text(yaml.safe_dump(content))


def test_the_search_in_the_documentation_was_written_by_an_earlier_version():
    """A file of a real run, which no later version has touched."""
    directory = REPOSITORY / "docs" / "data" / "camvid"
    assert "strategy" in json.loads((directory / "config.json").read_text())["config"]
    config = read_config(directory, SearchConfig)
    assert (config.trials, config.confirm, config.finalists) == (16, 3, 3)
    assert config.initial == ("hrvit_b1",)
    assert config.costs == ("macs",)
    assert config.resources == Resources()
    assert config.load_space().name == "heterogeneous_branches"


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("search", {"retrain": 2}),
        ("search", {"supernet": {"steps": 2}}),
        ("search", {"wanted_tau": 0.5}),
        ("search", {"architectures": 6}),
        ("supernet_search", {"num_seeds": 3}),
        ("calibration", {"confirm": 1}),
        ("calibration", {"trials": 3}),
        ("calibration", {"sampler": "tpe"}),
        ("search", {"trialz": 3}),
    ],
)
def test_what_means_nothing_to_a_kind_cannot_be_written_down(kind, field, make_config):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        make_config(kind, **field)


def test_a_kind_that_is_none_is_refused(make_config, tmp_path):
    with pytest.raises(ConfigError, match="kind must be one of search, supernet_search, calib"):
        parse_config({"kind": "serach"})
    content = {"config": {"kind": "serach"}, "space": {}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"config\.json is damaged: kind must be one of .*serach"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "is damaged: "),
        ("[]", "is damaged: "),
        ("{}", "is damaged: "),
        ('{"config": {"kind": "search"}}', "is damaged: it has no space"),
        (
            '{"config": {"kind": "search"}, "space": {}}',
            "data: Field required",
        ),
        ('{"ablation": {"arms": []}}', "is damaged: "),
    ],
)
def test_a_damaged_configuration_is_one_line_that_names_the_file(content, expected, tmp_path):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_config(tmp_path)
    line = str(caught.value)
    assert str(tmp_path / "config.json") in line
    assert expected in line
    assert "\n" not in line
    assert len(line) < 300 + len(str(tmp_path))


def test_an_edit_is_noticed_unless_its_checksum_is_removed(make_config, tmp_path):
    write_config(RunLayout(tmp_path), started(make_config()))
    path = tmp_path / "config.json"
    lines = path.read_text().splitlines(keepends=True)
    assert lines[1].startswith('  "sha256": "')
    edited = "".join(lines).replace('"trials": 4,', '"trials": 5,')
    path.write_text(edited)
    with pytest.raises(ConfigError, match=r"config\.json is damaged: .* remove its line 'sha256'"):
        read_config(tmp_path)
    path.write_text(edited.replace(lines[1], ""))
    assert read_config(tmp_path).trials == 5
    path.write_text(json.dumps(json.loads("".join(lines)), indent=None, sort_keys=True))
    assert read_config(tmp_path).trials == 4, "another layout is not another content"


ANY_SEARCH = {
    "trials": st.integers(1, 10**6),
    "seed": st.integers(0, 2**32 - 1),
    "sampler": st.sampled_from(sorted(SAMPLERS)),
    "population": st.none() | st.integers(2, 1000),
    "costs": st.permutations(["macs", "params", "peak_activation_bytes"]).flatmap(
        lambda costs: st.integers(1, 2).map(lambda count: costs[:count])
    ),
    "confirm": st.integers(0, 1000),
    "references": st.lists(st.sampled_from(["hrvit_b1", "hrvit_b2"]), unique=True),
    "study": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    "num_classes": st.none() | st.integers(1, 1000),
    "resources": st.fixed_dictionaries(
        {"cpus_per_trial": st.integers(1, 512), "gpus_per_trial": st.sampled_from([0, 0.25, 1, 8])}
    ),
    "recipe": st.fixed_dictionaries(
        {
            "steps": st.integers(1, 10**6),
            "warmup_steps": st.just(0),
            "learning_rate": st.floats(1e-9, 1e3),
            "augment": st.just({"crop_size": [32, 48]}),
        }
    ),
}


@given(
    kind=st.sampled_from(["search", "supernet_search"]),
    changes=st.fixed_dictionaries({}, optional=ANY_SEARCH),
    data=st.data(),
)
def test_any_search_comes_back_and_no_flip_is_another(
    kind, changes, data, make_config, tmp_path_factory
):
    try:
        config = make_config(kind, **changes)
    except ValidationError:
        reject()
    config = config.model_copy(update={"as_started": {"name": "x", "genes": []}})
    directory = tmp_path_factory.mktemp("run")
    path = directory / "config.json"
    write_config(RunLayout(directory), config)
    assert read_config(directory) == config
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with suppress(ConfigError):
        assert read_config(directory) == config


def test_a_fault_is_shown_in_few_words(make_config, tmp_path):
    content = {
        "config": make_config().model_dump(mode="json") | {"data": ["x" * 20_000]},
        "space": {"genes": "y" * 20_000},
    }
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"config\.json: data: ") as caught:
        read_config(tmp_path)
    assert len(str(caught.value)) - len(str(tmp_path)) < 250


def test_a_run_of_another_kind_is_named(make_config, tmp_path):
    layout = RunLayout(tmp_path)
    write_config(layout, started(make_config("calibration")))
    assert read_config(tmp_path, AnySearch, CalibrationConfig).kind == "calibration"
    with pytest.raises(ConfigError, match="a calibration, not a search or a search with a superne"):
        read_config(tmp_path, AnySearch)
    with pytest.raises(ConfigError, match="holds a calibration, not an ablation"):
        read_config(tmp_path, AblationConfig)
    with pytest.raises(ConfigError, match="holds a calibration, which has no trials"):
        read_config(tmp_path, changes={"trials": 3})
    with pytest.raises(ConfigError, match=r"^num_seeds: .* got 1"):
        read_config(tmp_path, changes={"num_seeds": 1})
    changed = read_config(tmp_path, changes={"num_seeds": 5, "resources": {"cpus_per_trial": 2}})
    assert (changed.num_seeds, changed.resources.cpus_per_trial) == (5, 2)
    assert changed.resources.executor == "inline", "what is not named stays"
    on_ray = {"executor": "ray_tune", "workers": 3, "address": "auto", "gpus_per_trial": 1}
    write_config(layout, started(make_config("calibration", resources=on_ray)))
    inline = read_config(tmp_path, changes={"resources": {"executor": "inline"}}).resources
    assert (inline.workers, inline.address, inline.gpus_per_trial) == (None, None, 1)
