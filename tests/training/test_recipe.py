import pytest
from pydantic import ValidationError

from hrvit_nas.data import AugmentConfig
from hrvit_nas.training import Recipe

PUBLISHED = {
    "steps": 160_000,
    "learning_rate": 6e-5,
    "betas": (0.9, 0.999),
    "weight_decay": 0.01,
    "warmup_steps": 1500,
    "warmup_start_factor": 1e-6,
    "decay_power": 1.0,
    "clip_norm": None,
}


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(
            **PUBLISHED,
            batch_size=16,
            head_lr_factor=10,
            auxiliary_weight=0.4,
            drop_path_rate=0.1,
            augment=AugmentConfig(crop_size=(512, 512)),
            eval_batch_size=1,
        ),
        Recipe(
            **PUBLISHED,
            batch_size=8,
            head_lr_factor=10,
            drop_path_rate=0.15,
            augment=AugmentConfig(crop_size=(1024, 1024)),
            eval_window=(1024, 1024),
            eval_stride=(768, 768),
        ),
    ],
    ids=["laptop", "ade20k", "cityscapes"],
)
def test_recipes_round_trip(recipe):
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 5, "warmup_steps": 5}, "warmup_steps must be less than steps=5, got 5"),
        ({"evaluations": 201}, "evaluations must be at most the 200 steps that are trained"),
        ({"weight_averaging": 0.9, "criterion": "cross_entropy"}, "criterion must be miou with"),
        ({"stop_after": 200}, "stop_after must be less than steps=200, got 200"),
        ({"stop_after": 20, "evaluations": 21}, "at most the 20 steps that are trained, got 21"),
        ({"eval_window": (8, 8)}, "set together, got .8, 8. and None"),
        ({"eval_window": (8, 8), "eval_stride": (8, 9)}, "eval_stride must be at most eval_window"),
        ({"decay": "cosine", "decay_power": 0.9}, "a cosine decay must not set decay_power"),
        ({"steps": 0}, "steps\n.*greater than or equal to 1"),
        ({"learning_rate": 0}, "learning_rate\n.*greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate\n.*finite number"),
        ({"betas": (0.9, 1.0)}, "betas.1\n.*less than 1"),
        ({"auxiliary_weight": -0.4}, "auxiliary_weight\n.*greater than or equal to 0"),
        ({"clip_norm": 0}, "clip_norm\n.*greater than 0"),
        ({"leaning_rate": 1}, "leaning_rate\n.*Extra inputs are not permitted"),
        ({"augment": {"crop": 3}}, "augment.crop\n.*Extra inputs are not permitted"),
    ],
)
def test_faults_are_named(fields, message):
    with pytest.raises(ValidationError, match=message):
        Recipe(**fields)


def test_what_stops_on_the_way_is_scored_there():
    recipe = Recipe(steps=100, stop_after=30, evaluations=3)
    assert recipe.evaluation_steps == (10, 20, 30)
    assert recipe.trained_steps == 30
    assert recipe.described_steps == "the first 30 of 100 steps"
    assert Recipe(steps=40, warmup_steps=0).described_steps == "40 steps"


def test_recipe_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().steps = 3


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(200, 1, (200,)), (10, 3, (3, 6, 10)), (4, 4, (1, 2, 3, 4))],
)
def test_evaluations_are_evenly_spaced_and_end_with_the_run(steps, evaluations, expected):
    recipe = Recipe(steps=steps, warmup_steps=0, evaluations=evaluations)
    assert recipe.evaluation_steps == expected
