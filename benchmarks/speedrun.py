"""How soon a recipe brings a network to a goal: core-seconds to 40% mIoU on CamVid.

`run` trains each declared variant (`experiments/studies/speedrun.yaml`) with each seed, one thread,
and keeps the scores on the way in a folder; it can be stopped, resumed, and run beside other work,
since what it measures are steps. `report` then times a training step of each variant, by turns, on
what should be a quiet machine, and prints steps, seconds a step and their product:

    python benchmarks/speedrun.py run runs/speedrun --data-root CAMVID
    python benchmarks/speedrun.py report runs/speedrun --data-root CAMVID

A run that never reaches the goal counts with its whole length, and the table says so.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from pydantic import BaseModel, ConfigDict, Field

from hrvit_nas import build_segmentor
from hrvit_nas._files import declarations_dir
from hrvit_nas.arch import get_hrvit, scale_widths
from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig, SegmentationData, load_data, train_batches
from hrvit_nas.models import Segmentor
from hrvit_nas.results import provenance, replacing
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.profiles import load_declaration, load_recipe
from hrvit_nas.training import (
    Recipe,
    build_optimizer,
    class_weights,
    segmentation_loss,
    set_learning_rate,
    train,
)
from hrvit_nas.training.optimizer import clip_gradients

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STUDY = declarations_dir("experiments") / "studies" / "speedrun.yaml"
TIMED_STEPS, ROUNDS = 8, 5


class Study(BaseModel):
    """What is raced, and to where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    arch: str
    width_factor: float
    recipe: str
    goal: float = Field(gt=0, lt=1)
    evaluate_every: int = Field(ge=1)
    baseline: str
    variants: dict[str, dict[str, Any]]

    def recipe_of(self, variant: str) -> Recipe:
        """The recipe of a variant, scored every few steps."""
        base = load_recipe(self.recipe).long_recipe.model_dump() | self.variants[variant]
        return Recipe.model_validate(base | {"evaluations": base["steps"] // self.evaluate_every})


Root = Annotated[Path, typer.Option(help="Folder of CamVid.")]
Output = Annotated[Path, typer.Argument(help="Folder for a file a run.")]
Only = Annotated[list[str] | None, typer.Option(help="Variants; default all.")]


@app.command()
def run(output: Output, data_root: Root, seeds: int = 3, only: Only = None) -> None:
    """Trains each variant with each seed."""
    torch.set_num_threads(1)
    study = load_declaration(Study, str(STUDY), STUDY.parent, "study")
    data = _data(study, data_root)
    output.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for variant in only or study.variants:
            path, recipe = _path(output, variant, seed), study.recipe_of(variant)
            if path.exists():
                _curve(path, recipe)
                continue
            model = _network(study, data, seed)
            result = train(model, data, recipe, seed=seed, checkpoint=path.with_suffix(".pt"))
            curve = [[c.step, c.evaluation.miou, c.evaluation.cross_entropy] for c in result.checks]
            content = {"variant": variant, "seed": seed, "curve": curve}
            content |= {"recipe": recipe.model_dump(mode="json"), "provenance": provenance()}
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
            path.with_suffix(".pt").unlink()
            steps = _steps(curve, study.goal)
            print(f"{variant}, seed {seed}: {steps or 'never'} of {recipe.steps}", flush=True)


@app.command()
def report(output: Output, data_root: Root, only: Only = None) -> None:
    """Times a step of each variant, and prints the race."""
    torch.set_num_threads(1)
    study = load_declaration(Study, str(STUDY), STUDY.parent, "study")
    data = _data(study, data_root)
    curves = {
        variant: [
            _curve(path, study.recipe_of(variant))
            for path in sorted(output.glob(f"{_slug(variant)}-s[0-9]*.json"))
        ]
        for variant in only or study.variants
    }
    curves = {variant: found for variant, found in curves.items() if found}
    seconds = _step_seconds(study, data, list(curves))
    cost: dict[str, float] = {}
    print("| variant | seeds | steps to the goal | s a step | core-seconds | last mIoU % |")
    print("|---|---|---|---|---|---|")
    for variant, found in curves.items():
        reached = [_steps(curve, study.goal) for curve in found]
        steps = [done or curve[-1][0] for done, curve in zip(reached, found, strict=True)]
        cost[variant] = statistics.mean(steps) * seconds[variant]
        missed = sum(done is None for done in reached)
        note = f" ({missed} of {len(found)} never)" if missed else ""
        last = ", ".join(f"{100 * curve[-1][1]:.1f}" for curve in found)
        print(
            f"| {variant} | {len(found)} | {', '.join(map(str, steps))}{note} |"
            f" {seconds[variant]:.3f} | {cost[variant]:.0f} | {last} |"
        )
    if study.baseline in cost:
        base = cost[study.baseline]
        best = min(cost, key=cost.__getitem__)
        print(f"{best}: {cost[best] / base:.2f} of the core-seconds of {study.baseline}")


def _step_seconds(study: Study, data: SegmentationData, variants: list[str]) -> dict[str, float]:
    """Median seconds of a training step of each variant, timed by turns."""
    steppers = {variant: _stepper(study, data, variant) for variant in variants}
    for stepper in steppers.values():
        next(stepper)
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(ROUNDS):
        for variant, stepper in steppers.items():
            started = time.perf_counter()
            for _ in islice(stepper, TIMED_STEPS):
                pass
            times[variant].append((time.perf_counter() - started) / TIMED_STEPS)
    return {variant: statistics.median(found) for variant, found in times.items()}


def _stepper(study: Study, data: SegmentationData, variant: str) -> Iterator[None]:
    """Training steps of a variant, batches included, as `train` makes them."""
    recipe = study.recipe_of(variant)
    model = _network(study, data, 0).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(model, recipe)
    weights = class_weights(data, recipe.class_weighting) if recipe.class_weighting else None
    batches = train_batches(
        data.train,
        batch_size=recipe.batch_size,
        num_steps=1 + TIMED_STEPS * ROUNDS,
        seed=0,
        augment=recipe.augment,
    )
    for step, (images, labels) in enumerate(batches):
        set_learning_rate(optimizer, step, recipe)
        loss = segmentation_loss(model(images), labels, data.ignore_index, weights)
        optimizer.zero_grad()
        loss.backward()
        clip_gradients(model.parameters(), recipe.clip_norm)
        optimizer.step()
        yield


def _network(study: Study, data: SegmentationData, seed: int) -> Segmentor:
    torch.manual_seed(seed)
    spec = scale_widths(get_hrvit(study.arch), study.width_factor)
    return build_segmentor(spec, data.num_classes)


def _data(study: Study, root: Path) -> SegmentationData:
    size = load_recipe(study.recipe).image_size
    return load_data(DataConfig(name="camvid", root=root, image_size=size))


def _curve(path: Path, recipe: Recipe) -> list[list[float]]:
    """The scores of a run, which must be by the variant's recipe as declared today."""
    content = json.loads(path.read_text("utf-8"))
    if Recipe.model_validate(content["recipe"] | {"criterion": recipe.criterion}) != recipe:
        raise ConfigError(f"{path} is of another recipe than is declared now; remove it")
    curve: list[list[float]] = content["curve"]
    return curve


def _steps(curve: list[list[float]], goal: float) -> int | None:
    """Steps at the first evaluation that reaches the goal."""
    return next((int(step) for step, miou, _ in curve if miou >= goal), None)


def _slug(variant: str) -> str:
    return "-".join(variant.replace(",", "").split())


def _path(output: Path, variant: str, seed: int) -> Path:
    return output / f"{_slug(variant)}-s{seed}.json"


if __name__ == "__main__":
    run_app(app, "speedrun")
