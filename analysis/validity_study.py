"""Which proxy ranks architectures as long training does, and what it costs.

`run` trains the proxies that `experiments/studies/validity.yaml` declares on the architectures of a
table of truth (`hrvit_nas.load_benchmark`), one thread, resumable. `report` judges them, with the
prefixes of the long schedule that the table holds itself, and draws the table's figure.

    python analysis/validity_study.py run camvid runs/validity-camvid --data-root CAMVID
    python analysis/validity_study.py report camvid runs/validity-camvid --figure docs/validity.png
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hrvit_nas._files import declarations_dir
from hrvit_nas.arch import ArchSpec
from hrvit_nas.cli.errors import run_app
from hrvit_nas.data import DataConfig
from hrvit_nas.results import Estimate, replacing
from hrvit_nas.results.benchmark import Benchmark, load_benchmark
from hrvit_nas.results.predictors import predictor_residual_tau, predictor_tau
from hrvit_nas.results.ranking import (
    cross_residual_tau,
    cross_tau,
    cross_tau_difference,
    residual_tau,
)
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.profiles import TrainingPlan, load_declaration, load_profile, load_recipe
from hrvit_nas.training import Recipe, SupernetRecipe, train

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STUDY = declarations_dir("experiments") / "studies" / "validity.yaml"
Floats = NDArray[np.float64]
CRITERIA = {"miou": ("mIoU", 1.0), "cross_entropy": ("cross entropy", -1.0)}
MIN_POINTS = 3
"""Scores on the way that a curve is extrapolated from, at least."""


class SupernetPart(BaseModel):
    """The supernet of the study, and what is done with its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(ge=1)
    fine_tune: tuple[int, ...]
    candidates: int = Field(ge=1)


class Wanted(BaseModel):
    """What a proxy must reach to ship: a tau, and a lower end of its interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tau: float
    low: float


class Study(BaseModel):
    """The proxies that are trained, and what is wanted of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    schedules: tuple[int, ...]
    seeds: tuple[int, ...]
    supernet: SupernetPart
    wanted: Wanted


@dataclass(frozen=True, kw_only=True)
class Row:
    """One proxy against long training.

    Attributes:
        name: What is scored.
        criterion: By what.
        tau: Kendall's tau with the mIoU of long training, of other seeds where the proxy has one.
        residual: The same once the logarithm of MACs is regressed out of both.
        gain: What `tau` has above that of the score that ships; None where that is unknown.
        seconds: Core-seconds an architecture.
        count: Architectures that it was judged on.
    """

    name: str
    criterion: str
    tau: Estimate
    residual: Estimate
    gain: Estimate | None
    seconds: float
    count: int


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="scenes or camvid.")],
    output: Annotated[Path, typer.Argument(help="Folder for a file a score.")],
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    archs: Annotated[int | None, typer.Option(help="Only the table's first architectures.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Of schedule-STEPS and supernet; default all.")
    ] = None,
) -> None:
    """Trains the proxies that are not trained yet."""
    import torch

    from hrvit_nas.data import load_data

    torch.set_num_threads(1)
    study, truth = _load(), load_benchmark(name)
    plan, config = _settings(truth, data_root)
    data = load_data(config.data)
    specs = [ArchSpec.from_json(text) for text in _texts(truth).values()][:archs]
    output.mkdir(parents=True, exist_ok=True)
    parts = [f"schedule-{steps}" for steps in study.schedules] + ["supernet"]
    for part in only or parts:
        if part not in parts:
            raise ConfigError(f"no part is called {part!r}; known: {', '.join(parts)}")
        if part == "supernet":
            _run_supernet(study, plan, config, data, specs, output)
            continue
        recipe = _shortened(plan.recipe, int(part.split("-")[1]))
        for seed in study.seeds:
            for spec in specs:
                path = output / f"{part}-{spec.id}-s{seed}.json"
                if not path.exists():
                    _write(path, _trained(spec, data, recipe, seed))
                    print(path.stem, flush=True)


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="scenes or camvid.")],
    output: Annotated[Path, typer.Argument(help="Folder of `run`.")],
    figure: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg.")] = None,
) -> None:
    """Prints every proxy's tau against long training, and names the cheapest that is valid."""
    study, truth = _load(), load_benchmark(name)
    rows = [*_prefixes(truth), *_extrapolated(truth), *_trained_proxies(study, truth, output)]
    macs = predictor_tau(truth.macs, truth.scores())
    print(
        f"{len(truth.arch_ids)} architectures with seeds {', '.join(map(str, truth.seeds))} of"
        f" {truth.steps[-1]} steps; ceiling, tau between two seeds: {truth.ceiling.describe()};"
        f" without MACs {residual_tau(truth.scores(), truth.macs).describe()};"
        f" MACs alone: {macs.describe()}"
    )
    print("| proxy | criterion | tau | above what ships | without MACs | core-s | n |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        gain = "" if row.gain is None else row.gain.describe()
        print(
            f"| {row.name} | {row.criterion} | {row.tau.describe()} | {gain} |"
            f" {row.residual.describe()} | {row.seconds:.0f} | {row.count} |"
        )
    wanted = study.wanted
    valid = [r for r in rows if r.tau.value >= wanted.tau and r.tau.low > wanted.low]
    if valid:
        best = min(valid, key=lambda row: row.seconds)
        print(f"\ncheapest with a tau of {wanted.tau:g} and a lower end above {wanted.low:g}: ")
        print(f"{best.name}, by {best.criterion}")
    else:
        best = max(rows, key=lambda row: row.tau.value)
        print(f"\nno proxy reaches a tau of {wanted.tau:g} with a lower end above {wanted.low:g};")
        print(f"the best is {best.name}, by {best.criterion}")
    if figure is not None:
        _draw(rows, truth, study, figure)


def _run_supernet(
    study: Study,
    plan: TrainingPlan,
    config: SearchConfig,
    data: Any,
    specs: Sequence[ArchSpec],
    output: Path,
) -> None:
    import torch

    from hrvit_nas import build_supernet, extract
    from hrvit_nas.training import SubnetScorer, train_supernet

    recipe = SupernetRecipe.model_validate(
        plan.supernet.model_dump() | {"steps": study.supernet.steps, "evaluations": 1}
    )
    torch.manual_seed(0)
    supernet = build_supernet(config.load_space(), data.num_classes)
    progress = train_supernet(
        supernet,
        data,
        plan.recipe,
        recipe,
        cost=config.cost_of,
        seed=0,
        checkpoint=output / "supernet.pt",
        on_step=lambda p: (
            print(f"supernet: step {p.step}", flush=True) if p.step % 50 == 0 else None
        ),
    )
    share = progress.seconds / study.supernet.candidates
    scorer = SubnetScorer(supernet, data, plan.recipe, recipe, torch.device("cpu"))
    for spec in specs:
        for steps in study.supernet.fine_tune:
            path = output / f"supernet-{steps}-{spec.id}-s0.json"
            if path.exists():
                continue
            started = time.perf_counter()
            if steps:
                model = extract(supernet, spec)
                tuned = _shortened(plan.recipe, steps)
                tuned = tuned.model_copy(update={"learning_rate": tuned.learning_rate / 3})
                evaluation = train(model, data, tuned, seed=0).evaluation
            else:
                evaluation = scorer.score(spec).after
            seconds = share + time.perf_counter() - started
            point = [steps, evaluation.miou, evaluation.cross_entropy, seconds]
            _write(path, {"arch_id": spec.id, "seed": 0, "point": point})
        print(f"supernet: {spec.id}", flush=True)


def _trained(spec: ArchSpec, data: Any, recipe: Recipe, seed: int) -> dict[str, Any]:
    import torch

    from hrvit_nas import build_segmentor

    torch.manual_seed(seed)
    model = build_segmentor(spec, data.num_classes, drop_path_rate=recipe.drop_path_rate)
    result = train(model, data, recipe, seed=seed)
    scores = result.evaluation
    point = [recipe.steps, scores.miou, scores.cross_entropy, result.seconds]
    return {"arch_id": spec.id, "seed": seed, "point": point}


def _shortened(recipe: Recipe, steps: int) -> Recipe:
    warmup = min(recipe.warmup_steps, steps // 4)
    changes = {"steps": steps, "stop_after": None, "warmup_steps": warmup, "evaluations": 1}
    return Recipe.model_validate(recipe.model_dump() | changes)


def _prefixes(truth: Benchmark) -> Iterator[Row]:
    """The long schedule, cut off on the way: each seed against the others' end."""
    final = truth.scores()
    seconds = truth.table.groupby("step")["seconds"].mean()
    ships = load_recipe(truth.study["study"]["recipe"]).recipe
    known = ships.criterion in CRITERIA and ships.trained_steps in truth.steps[:-1]
    shipped = truth.scores(ships.criterion, ships.trained_steps) if known else None  # type: ignore[arg-type]
    for step in truth.steps[:-1]:
        for criterion, (shown, _) in CRITERIA.items():
            scores = truth.scores(criterion, step)  # type: ignore[arg-type]
            row = _judged(
                f"first {step} of {truth.steps[-1]} steps",
                shown,
                scores,
                final,
                truth.macs,
                float(seconds[step]),
            )
            if (criterion, step) == (ships.criterion, ships.trained_steps):
                row = replace(row, name=f"{row.name}, which ships")
            elif shipped is not None:
                row = replace(row, gain=cross_tau_difference(scores, shipped, final))
            yield row


def _extrapolated(truth: Benchmark) -> Iterator[Row]:
    """Where a line through the last scores, over the logarithm of steps, arrives."""
    final = truth.scores()
    seconds = truth.table.groupby("step")["seconds"].mean()
    steps = np.array(truth.steps, np.float64)
    for last in range(MIN_POINTS, len(steps)):
        window = slice(last - MIN_POINTS, last)
        x = np.log(steps[window])
        curves = np.stack([truth.scores("miou", int(step)) for step in steps[window]])
        slope = ((x - x.mean())[:, None, None] * (curves - curves.mean(0))).sum(0)
        slope /= ((x - x.mean()) ** 2).sum()
        scores = curves.mean(0) + slope * (math.log(steps[-1]) - x.mean())
        yield _judged(
            f"curve extrapolated from {int(steps[last - 1])} steps",
            "mIoU",
            scores,
            final,
            truth.macs,
            float(seconds[int(steps[last - 1])]),
        )


def _trained_proxies(study: Study, truth: Benchmark, output: Path) -> Iterator[Row]:
    """Complete short schedules, single seeds and their mean, and inherited weights."""
    for steps in study.schedules:
        found = _read(output, f"schedule-{steps}")
        yield from _of_seeds(f"complete schedule of {steps} steps", found, truth)
    for steps in study.supernet.fine_tune:
        found = _read(output, f"supernet-{steps}")
        name = f"inherited, {steps} steps of fine-tuning" if steps else "inherited weights"
        yield from _of_seeds(name, found, truth)


_Points = dict[int, dict[str, list[float]]]
"""By seed and architecture: steps, mIoU, cross entropy, seconds."""


def _of_seeds(name: str, found: _Points, truth: Benchmark) -> Iterator[Row]:
    ids = [a for a in truth.arch_ids if found and all(a in by_arch for by_arch in found.values())]
    if len(ids) < 4:
        return
    places = [truth.arch_ids.index(a) for a in ids]
    final, macs = truth.scores()[places], truth.macs[places]
    seconds = float(np.mean([found[s][a][3] for s in found for a in ids]))
    for column, (shown, sign) in zip((1, 2), CRITERIA.values(), strict=True):
        scores = np.array([[sign * found[s][a][column] for s in sorted(found)] for a in ids])
        of_seeds = tuple(sorted(found)) == truth.seeds
        yield _judged(name, shown, scores if of_seeds else scores.mean(1), final, macs, seconds)
        if len(found) > 1:
            yield _judged(
                f"{name}, mean of {len(found)} seeds",
                shown,
                scores.mean(1),
                final,
                macs,
                len(found) * seconds,
            )


def _judged(
    name: str, criterion: str, scores: Floats, final: Floats, macs: Floats, seconds: float
) -> Row:
    """A proxy against the ends of long training.

    Scores are `(architectures, seeds)` where the proxy has the seeds of the truth, each of which is
    held to the ends of the others; else one an architecture.
    """
    of_seeds = scores.ndim == 2
    return Row(
        name=name,
        criterion=criterion,
        tau=(cross_tau if of_seeds else predictor_tau)(scores, final),
        residual=(cross_residual_tau if of_seeds else predictor_residual_tau)(scores, final, macs),
        gain=None,
        seconds=seconds,
        count=len(scores),
    )


def _draw(rows: Sequence[Row], truth: Benchmark, study: Study, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    groups: dict[str, tuple[Callable[[Row], bool], str]] = {
        "first part of the long schedule": (lambda r: r.name.startswith("first"), "o"),
        "extrapolated curve": (lambda r: r.name.startswith("curve"), "^"),
        "complete short schedule": (lambda r: r.name.startswith("complete"), "s"),
        "inherited weights": (lambda r: r.name.startswith("inherited"), "D"),
    }
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True, constrained_layout=True)
    for axis, (shown, _) in zip(axes, CRITERIA.values(), strict=True):
        for label, (belongs, marker) in groups.items():
            mine = [r for r in rows if belongs(r) and r.criterion == shown]
            if not mine:
                continue
            x, y = [r.seconds for r in mine], [r.tau.value for r in mine]
            ends = [
                [r.tau.value - r.tau.low for r in mine],
                [r.tau.high - r.tau.value for r in mine],
            ]
            axis.errorbar(x, y, ends, fmt=marker, capsize=2, linewidth=0.8, label=label)
        axis.axhline(truth.ceiling.value, color="black", linewidth=0.8, label="ceiling: two seeds")
        axis.axhline(study.wanted.tau, color="grey", linestyle="--", linewidth=0.8, label="wanted")
        axis.set(xlabel="core-seconds an architecture", title=f"ranked by {shown}", xscale="log")
    axes[0].set_ylabel("Kendall's tau with mIoU of long training")
    axes[0].legend(fontsize=8, loc="lower right")
    figure.suptitle(
        f"{truth.name}: {len(truth.arch_ids)} architectures, {len(truth.seeds)} seeds,"
        " 95% bootstrap intervals",
        fontsize=10,
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(path)


def _read(output: Path, stem: str) -> _Points:
    found: _Points = {}
    for path in sorted(output.glob(f"{stem}-*.json")):
        content = json.loads(path.read_text("utf-8"))
        found.setdefault(content["seed"], {})[content["arch_id"]] = content["point"]
    return found


def _texts(truth: Benchmark) -> dict[str, str]:
    """Canonical JSON of the architectures that every seed has, by id."""
    texts = truth.table.groupby("arch_id", sort=False)["arch"].first()
    return {arch_id: texts[arch_id] for arch_id in truth.arch_ids}


def _settings(truth: Benchmark, root: Path | None) -> tuple[TrainingPlan, SearchConfig]:
    """The recipe of the proxies, and the table's data and space."""
    of = truth.study["study"]
    plan, profile = load_recipe(of["recipe"]), load_profile(of["profile"])
    config = SearchConfig(
        space=of["space"],
        narrowing=profile.narrowing,
        data=DataConfig.rooted(truth.study["data"], root or Path()),
        recipe=plan.recipe,
        trials=1,
    )
    return plan, config.with_num_classes(truth.study["num_classes"])


def _write(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _load() -> Study:
    return load_declaration(Study, str(STUDY), STUDY.parent, "study")


if __name__ == "__main__":
    run_app(app, "validity_study")
