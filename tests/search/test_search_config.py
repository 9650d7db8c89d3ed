"""Profiles and recipes: the shipped ones fit together, faulty ones are refused in one line."""

import random

import pytest
import yaml
from pydantic import ValidationError

from hrvit_nas._messages import first_fault
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.profiles import list_profiles, list_recipes, load_profile, load_recipe
from hrvit_nas.space import list_spaces, load_space

PLAN = {"description": "x", "recipe": {"steps": 2, "warmup_steps": 0}}


def narrowed(profile_name, space_name, recipe="laptop"):
    profile = load_profile(profile_name)
    return SearchConfig.model_validate(
        {
            "space": space_name,
            "narrowing": profile.narrowing,
            "data": {"name": "scenes", "image_size": [64, 96]},
            "recipe": load_recipe(recipe).recipe,
            "trials": 1,
        }
    )


def test_the_documented_profiles_are_shipped():
    assert {"laptop", "cluster"} <= set(list_profiles())


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_trains_crops_that_fit_its_images(name):
    plan = load_recipe(name)
    assert plan.description
    if plan.image_size is not None:
        pairs = zip(plan.recipe.crop_size, plan.image_size, strict=True)
        assert all(crop <= size for crop, size in pairs)


@pytest.mark.parametrize("name", list_profiles())
def test_every_profile_names_what_exists(name):
    profile = load_profile(name)
    assert profile.data.name in profile.recipes
    assert "folder" in profile.recipes  # which is that of layouts to come
    assert set(profile.recipes.values()) <= set(list_recipes())
    known = {gene.name: gene for space in list_spaces() for gene in load_space(space).genes}
    for gene, choices in profile.narrowing.choices.items():
        assert set(choices) <= set(known[gene].choices), gene


def test_a_data_set_that_a_profile_does_not_name_is_trained_by_the_recipe_for_folders():
    profile = load_profile("laptop")
    some = profile.model_copy(update={"recipes": {"scenes": "laptop", "folder": "camvid"}})
    assert [some.recipe_for(name) for name in ("scenes", "cityscapes")] == ["laptop", "camvid"]
    none = profile.model_copy(update={"recipes": {"scenes": "laptop"}})
    assert none.recipe_for("cityscapes") is None


@pytest.mark.parametrize("space_name", list_spaces())
@pytest.mark.parametrize("profile_name", list_profiles())
def test_a_profile_leaves_architectures_within_its_limits_in_every_space(profile_name, space_name):
    space = narrowed(profile_name, space_name).load_space()
    rng = random.Random(0)
    for spec in {space.sample(rng) for _ in range(5)}:
        assert space.contains(spec)
        for limit in load_profile(profile_name).narrowing.limits:
            assert limit.value(spec) <= limit.max
    assert {record.by for record in space.narrowing} <= {"profile and options", "joint"}


def test_samples_under_the_laptop_profile_can_be_trained():
    import torch

    from hrvit_nas.models import build_segmentor

    space = narrowed("laptop", "joint").load_space()
    for seed in range(3):
        model = build_segmentor(space.sample(random.Random(seed)), num_classes=10)
        model(torch.zeros(2, 3, 64, 96)).mean().backward()
        missing = [name for name, weight in model.named_parameters() if weight.grad is None]
        assert missing == []


@pytest.mark.parametrize(
    ("load", "name", "expected"),
    [
        (load_profile, "laptpo", "no profile 'laptpo'; known: cluster, laptop; did you mean"),
        (load_recipe, "citysapes", "did you mean 'cityscapes'?"),
        (load_recipe, "no/such.yaml", "no recipe 'no/such.yaml'; known: ade20k,"),
    ],
)
def test_an_unknown_name_is_one_line_with_what_is_known(load, name, expected):
    with pytest.raises(ConfigError) as caught:
        load(name)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({**PLAN, "recipes": {}}, "recipes: unknown key; did you mean 'recipe'?"),
        (
            {**PLAN, "recipe": {"stepz": 3}},
            "recipe.stepz: unknown key; did you mean 'steps'?",
        ),
        ({**PLAN, "recipe": {"steps": 0}}, "recipe.steps: Input should be greater"),
        ({**PLAN, "image_size": [16, 32]}, "image_size.0: Input should be greater than or equal"),
        ({**PLAN, "recipe": {"steps": 2}}, "recipe: warmup_steps must be less than steps=2, got"),
        (
            {**PLAN, "recipe": {"augment": {"flop": 1}}},
            "recipe.augment.flop: unknown key; did you mean 'flip'?",
        ),
        ({"recipe": {}}, "description: Field required"),
        ([], "Input should be a valid dictionary"),
        (None, "Input should be a valid dictionary"),
        ("{", ":1: "),
        ("a: !!python/name:os.system", "could not determine a constructor"),
    ],
)
def test_a_faulty_recipe_is_one_line_that_names_file_and_key(content, expected, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trials": 0}, "trials: Input should be greater than or equal to 1, got 0"),
        ({"finalists": 2}, "finalists are trained to confirm them; set confirm to 1 or more"),
        ({"confirm": 1, "finalists": 0}, "finalists: Input should be greater than or equal to 1"),
        ({"confirm": -1}, "confirm: Input should be greater than or equal to 0, got -1"),
        ({"seed": 2**32}, "seed: Input should be less than 4294967296, got 4294967296"),
        ({"population": 1}, "population: Input should be greater than or equal to 2, got 1"),
        (
            {"sampler": "cma"},
            "sampler: a sampler must be one of nsga2, tpe, gp, ehvi, random, got 'cma'",
        ),
        ({"resources": {"gpus_per_trial": -1}}, "resources.gpus_per_trial: Input should be"),
        ({"resources": {"gpus_per_trial": float("nan")}}, "resources.gpus_per_trial: Input"),
        ({"tials": 3}, "tials: unknown key"),
    ],
)
def test_a_fault_of_a_search_is_one_line(make_config, changes, expected):
    with pytest.raises(ValidationError) as caught:
        make_config(**changes)
    assert first_fault(caught.value).startswith(expected)


def test_a_config_is_the_same_after_its_file(make_config):
    config = make_config(
        narrowing={
            "base": {"arch": "hrvit_b1", "width_factor": 0.25},
            "choices": {"head_dim": [8]},
            "limits": [{"metric": "macs", "max": 6e7, "image_size": [64, 96]}],
        }
    )
    again = SearchConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.load_space() == config.load_space()


def test_a_limit_counts_the_classes_of_the_data_unless_it_says_otherwise(make_config):
    def limits(config):
        return [limit.num_classes for limit in config.narrowing.limits]

    said = {"metric": "macs", "max": 1e9, "num_classes": 19}
    silent = {"metric": "params", "max": 1e9}
    config = make_config(narrowing={"limits": [said, silent]}).with_num_classes(150)
    assert limits(config) == [19, 150]
    assert config.with_num_classes(10) == config  # settled once
    assert config.load_space().limits == config.narrowing.limits
