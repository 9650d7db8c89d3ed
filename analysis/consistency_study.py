"""Ranking consistency of scores with inherited weights, for several ways to train a supernet.

`run` trains the supernets that a study declares and scores with each the architectures that a
calibration (`hrvit-search --calibrate-proxy N`) has trained alone. It resumes what it had begun.
`report` prints and draws how well each supernet ranks them.

    python analysis/consistency_study.py run runs/calibration runs/consistency-study
    python analysis/consistency_study.py report runs/calibration runs/consistency-study
"""

from __future__ import annotations

import json
import re
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from hrvit_nas._files import declarations_dir
from hrvit_nas._messages import first_fault
from hrvit_nas.cli.errors import run_app
from hrvit_nas.report import consistency_data, consistency_verdict, draw_consistency
from hrvit_nas.report.section import sentences
from hrvit_nas.results import (
    RankingConsistency,
    ScoreTable,
    TrialStore,
    ranking_consistency,
    replacing,
    score_table,
)
from hrvit_nas.search.config import CalibrationConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.profiles import load_declaration
from hrvit_nas.search.stored import read_config

if TYPE_CHECKING:
    from hrvit_nas.arch import ArchSpec
    from hrvit_nas.training import SubnetScorer, SupernetProgress

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
STUDY = declarations_dir("experiments") / "studies" / "supernet.yaml"
COLUMNS = (
    "variant",
    "seed",
    "steps",
    "training s",
    "s a score",
    "tau",
    "without MACs",
    "cross entropy: tau",
    "cross entropy: without MACs",
    "top-3 regret, points",
)


class Study(BaseModel):
    """The ways to train a supernet that are compared; the first is what the rest are held to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    variants: dict[str, dict[str, Any]]


@app.command()
def run(
    calibration: Annotated[Path, typer.Argument(help="Run directory of a calibration.")],
    output: Annotated[Path, typer.Argument(help="Folder for weights and scores.")],
    study: Annotated[Path, typer.Option(help="Declaration of the variants.")] = STUDY,
    only: Annotated[list[str] | None, typer.Option(help="Variants to do; default all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the supernets.")] = 0,
    threads: Annotated[int, typer.Option(help="Threads of a process.")] = 1,
) -> None:
    """Trains each variant's supernet and scores the calibration's architectures with it."""
    import torch

    torch.set_num_threads(threads)
    config = read_config(calibration, CalibrationConfig)
    variants = _load(study).variants
    for name in only or list(variants):
        if name not in variants:
            raise ConfigError(f"no variant is called {name!r}; known: {', '.join(variants)}")
        path = output / f"{re.sub('[ ,]+', '_', name)}-s{seed}.json"
        if path.exists():
            print(f"{name}: done already ({path})")
            continue
        output.mkdir(parents=True, exist_ok=True)
        content = _scored(name, variants[name], config, calibration, path.with_suffix(".pt"), seed)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@app.command()
def report(
    calibration: Annotated[Path, typer.Argument(help="Run directory of the calibration.")],
    output: Annotated[Path, typer.Argument(help="Folder of `run`.")],
    figure: Annotated[Path | None, typer.Option(help="Figure of the first variant.")] = None,
    within: Annotated[
        str | None, typer.Option(help="A gene: how the first variant ranks where it is equal.")
    ] = None,
) -> None:
    """Prints how well each supernet ranks the architectures; its first variant is drawn."""
    table = score_table(TrialStore(calibration).records())
    contents = [json.loads(path.read_text("utf-8")) for path in sorted(output.glob("*.json"))]
    if not contents:
        raise ConfigError(f"{output} holds no scores; make them with `run`")
    order = list(_load(STUDY).variants)
    contents.sort(key=lambda content: (order.index(content["variant"]), content["seed"]))
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    ranked = []
    for content in contents:
        ranked.append(_ranked(content, table))
        print(f"| {' | '.join(map(str, _cells(content, ranked[-1])))} |")
    first = ranked[0]
    words = [f"{contents[0]['variant']}, by cross entropy:"]
    words += sentences(consistency_verdict(first.by_entropy), {})
    if figure is not None:
        data = consistency_data(
            first.by_entropy,
            table.arch_ids,
            first.inherited,
            table.scores[table.last_step],
            table.macs,
            inherited_criterion="cross_entropy",
        )
        draw_consistency(data, figure)
    if within is not None:
        words += _within(within, calibration, table, first.inherited)
    print()
    for line in words:
        print(line)


class _Ranked(NamedTuple):
    """How a supernet ranks the architectures of a calibration.

    Attributes:
        inherited: Negative cross entropy of each, in nats.
        seconds: Median time of a score.
        by_miou: What its mIoU says of the stand-alone one.
        by_entropy: What its cross entropy says.
    """

    inherited: NDArray[np.float64]
    seconds: float
    by_miou: RankingConsistency
    by_entropy: RankingConsistency


def _ranked(content: dict[str, Any], table: ScoreTable) -> _Ranked:
    alone = table.scores[table.last_step]
    found = {
        name: np.array([content["scores"][arch_id][name] for arch_id in table.arch_ids])
        for name in ("miou", "cross_entropy", "seconds")
    }
    inherited = -found["cross_entropy"]
    return _Ranked(
        inherited=inherited,
        seconds=float(np.median(found["seconds"])),
        by_miou=ranking_consistency(found["miou"], alone, table.macs, seeds=table.seeds),
        by_entropy=ranking_consistency(inherited, alone, table.macs, seeds=table.seeds),
    )


def _cells(content: dict[str, Any], found: _Ranked) -> tuple[object, ...]:
    """A row of the printed table, by `COLUMNS`."""
    return (
        content["variant"],
        content["seed"],
        content["plan"]["steps"],
        f"{content['training_seconds']:.0f}",
        f"{found.seconds:.2f}",
        found.by_miou.tau.describe(),
        found.by_miou.residual_tau.describe(),
        found.by_entropy.tau.describe(),
        found.by_entropy.residual_tau.describe(),
        found.by_miou.regret[3].describe(scale=100),
    )


def _within(
    gene: str, calibration: Path, table: ScoreTable, inherited: NDArray[np.float64]
) -> list[str]:
    """How much of the stand-alone scores a gene explains, and what is ranked beside it."""
    from hrvit_nas.results.predictors import predictor_tau
    from hrvit_nas.results.ranking import seed_tau

    space = read_config(calibration, CalibrationConfig).load_space()
    specs = {record.arch_id: record.spec for record in TrialStore(calibration).records()}
    values = np.array([space.genes_of(specs[arch_id])[gene] for arch_id in table.arch_ids])
    alone = table.scores[table.last_step]
    means = alone.mean(1)
    fitted = np.array([means[values == value].mean() for value in values])
    share = float(((fitted - means.mean()) ** 2).sum() / ((means - means.mean()) ** 2).sum())
    lines = [f"{gene} alone makes {share:.0%} of the variance of the mean stand-alone scores"]
    for value in sorted(set(values.tolist())):
        mine = values == value
        lines.append(
            f"of {mine.sum()} architectures with {gene} {value}: tau"
            f" {predictor_tau(inherited[mine], alone[mine]).describe()}, noise ceiling"
            f" {seed_tau(alone[mine]).describe()}"
        )
    return lines


def _scored(
    name: str,
    variant: dict[str, Any],
    config: CalibrationConfig,
    calibration: Path,
    checkpoint: Path,
    seed: int,
) -> dict[str, Any]:
    """Trains the supernet of a variant, and scores the calibration's architectures with it."""
    import torch

    from hrvit_nas import build_supernet
    from hrvit_nas.data import load_data
    from hrvit_nas.training import SubnetScorer, SupernetRecipe, train_supernet

    try:
        plan = SupernetRecipe.model_validate(variant)
    except ValidationError as error:
        raise ConfigError(
            f"variant {name!r}: {first_fault(error, model=SupernetRecipe)}"
        ) from error
    data = load_data(config.data)
    torch.manual_seed(seed)
    supernet = build_supernet(
        config.load_space(), data.num_classes, drop_path_rate=config.recipe.drop_path_rate
    )
    progress = train_supernet(
        supernet,
        data,
        config.recipe,
        plan,
        cost=config.cost_of,
        seed=seed,
        checkpoint=checkpoint,
        on_step=partial(_show, name, plan.steps),
    )
    scorer = SubnetScorer(supernet, data, config.recipe, plan, torch.device("cpu"))
    specs = {record.arch_id: record.spec for record in TrialStore(calibration).records()}
    return {
        "variant": name,
        "plan": plan.model_dump(mode="json"),
        "seed": seed,
        "training_seconds": progress.seconds,
        "returns": progress.returns,
        "checks": [list(check) for check in progress.checks],
        "scores": {arch_id: _score(scorer, spec) for arch_id, spec in specs.items()},
    }


def _show(name: str, steps: int, progress: SupernetProgress) -> None:
    """Prints now and then how far the training of a variant is."""
    if progress.step % 20 == 0:
        loss = progress.losses[-1]
        print(
            f"{name}: step {progress.step}/{steps}, loss {loss.largest:.3f} largest,"
            f" {loss.others:.3f} others, {progress.seconds:.0f} s",
            flush=True,
        )


def _score(scorer: SubnetScorer, spec: ArchSpec) -> dict[str, float]:
    started = time.perf_counter()
    found = scorer.score(spec)
    return {
        "uncalibrated_miou": found.before.miou,
        "miou": found.after.miou,
        "cross_entropy": found.after.cross_entropy,
        "seconds": time.perf_counter() - started,
    }


def _load(path: Path) -> Study:
    return load_declaration(Study, str(path), STUDY.parent, "study")


if __name__ == "__main__":
    run_app(app, "consistency_study")
