"""Long training of many architectures: the table that proxies and claims are judged by.

`run` trains the architectures that a study declares (`experiments/studies/truth_NAME.yaml`), each
with every seed, with one thread. It can be stopped at any time and goes on where it was; several
may run beside each other (`--part 0/2` and `--part 1/2`), on several machines too: the folder holds
a file a trial, and folders are merged by copying. `table` adds what is there to the table that
ships, and what that table has is not trained again.

    python analysis/truth_study.py run camvid runs/truth-camvid --data-root CAMVID --part 0/2
    python analysis/truth_study.py table camvid runs/truth-camvid
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from pydantic import BaseModel, ConfigDict, Field

from hrvit_nas._files import declarations_dir
from hrvit_nas.arch import ArchSpec, get_hrvit
from hrvit_nas.cli.errors import run_app
from hrvit_nas.cost import estimate_cost
from hrvit_nas.data import DataConfig
from hrvit_nas.results import provenance, replacing
from hrvit_nas.results.benchmark import COLUMNS, load_benchmark, write_benchmark
from hrvit_nas.search.config import SearchConfig
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.profiles import load_declaration, load_profile, load_recipe
from hrvit_nas.space import Space, SpaceError
from hrvit_nas.space.allocation import scaled_arch
from hrvit_nas.space.by_cost import spread_archs
from hrvit_nas.training import Recipe

if TYPE_CHECKING:
    from hrvit_nas.data import SegmentationData
    from hrvit_nas.training import TrainResult

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Kind = Literal["spread", "allocation", "variation"]
SPREAD_DRAWS = 4000
TOGETHER = 12
"""Architectures that are trained with every seed before the next ones."""
FILE_FORMAT = 1


class Study(BaseModel):
    """Which architectures are trained, and how.

    Attributes:
        description: What for.
        space: Name or path of the space.
        profile: How it is narrowed.
        recipe: Recipe file whose `long` part trains them.
        seeds: Seeds of each.
        spread: Architectures drawn evenly over the logarithm of multiply-adds.
        allocation: Preset whose allocation is among the architectures.
        costs: Multiply-adds that it is scaled to, evenly spread over the range in logarithm.
        variations: One-gene changes of it at its middle cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    space: str
    profile: str
    recipe: str
    seeds: tuple[int, ...] = Field(min_length=1)
    spread: int = Field(ge=1)
    allocation: str
    costs: int = Field(ge=2)
    variations: int = Field(ge=0)

    def settings(self, data: str, root: Path | None) -> SearchConfig:
        """The configuration of a search in the same space, on the same data, trained long."""
        profile, plan = load_profile(self.profile), load_recipe(self.recipe)
        sizes = {"num_train": profile.data.num_train, "num_val": profile.data.num_val}
        known = {key: value for key, value in sizes.items() if value and data == "scenes"}
        config = SearchConfig(
            space=self.space,
            narrowing=profile.narrowing,
            data=DataConfig(name=data, root=root, image_size=plan.image_size, **known),
            recipe=plan.long_recipe,
            trials=1,
        )
        return config


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="scenes or camvid, or the path of a study.")],
    output: Annotated[Path, typer.Argument(help="Folder for a file a trial.")],
    data_root: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    part: Annotated[
        str, typer.Option(help="Which of the trials: every Nth, from the Kth.")
    ] = "0/1",
    archs: Annotated[int | None, typer.Option(help="Only the first architectures.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="Only these seeds.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also what the shipped table has, to reproduce it.")
    ] = False,
) -> None:
    """Trains what is not trained yet, a trial at a time, with one thread."""
    import torch

    from hrvit_nas.data import load_data

    torch.set_num_threads(1)
    study, dataset = _load(name)
    config = study.settings(dataset, data_root)
    data = load_data(config.data)
    config = config.with_num_classes(data.num_classes)
    first, count = _part(part)
    chosen = list(_declared_archs(study, config))[:archs]
    # Every seed of some architectures before the next ones, so that a table is of use early.
    wanted = [
        (seed, *one)
        for start in range(0, len(chosen), TOGETHER)
        for seed in seeds or study.seeds
        for one in chosen[start : start + TOGETHER]
    ][first::count]
    own = Path(name).suffix == ".yaml"  # a study that no shipped table is of
    shipped = set() if again or own else _shipped(_target(dataset), config)
    output.mkdir(parents=True, exist_ok=True)
    source = provenance()
    for position, (seed, kind, spec) in enumerate(wanted, start=1):
        path = output / f"{spec.id}-s{seed}.json"
        if path.exists() or (spec.id, seed) in shipped:
            continue
        started = time.perf_counter()
        result = _trained(spec, seed, data, config, path.with_suffix(".pt"))
        content = {**_content(spec, kind, seed, config, result), "provenance": source}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
        path.with_suffix(".pt").unlink(missing_ok=True)
        print(
            f"{position}/{len(wanted)}: {spec.id} ({kind}), seed {seed}:"
            f" {content['macs'] / 1e6:.1f} M MACs, mIoU {100 * result.evaluation.miou:.2f}%,"
            f" {time.perf_counter() - started:.0f} s",
            flush=True,
        )


def _trained(
    spec: ArchSpec, seed: int, data: SegmentationData, config: SearchConfig, checkpoint: Path
) -> TrainResult:
    """Trains an architecture, or what is left of that."""
    import torch

    from hrvit_nas import build_segmentor
    from hrvit_nas.training import CheckpointError, train

    def tried() -> TrainResult:
        torch.manual_seed(seed)
        model = build_segmentor(spec, data.num_classes, drop_path_rate=config.recipe.drop_path_rate)
        return train(model, data, config.recipe, seed=seed, checkpoint=checkpoint)

    try:
        return tried()
    except CheckpointError:  # cut off while it was written, or of another recipe
        checkpoint.unlink(missing_ok=True)
        return tried()


def _content(
    spec: ArchSpec, kind: Kind, seed: int, config: SearchConfig, result: TrainResult
) -> dict[str, Any]:
    """What the file of a trial says of it, its provenance aside."""
    cost = estimate_cost(spec, config.image_size, num_classes=config.num_classes)
    return {
        "format": FILE_FORMAT,
        "arch": spec.to_json(),
        "kind": kind,
        "seed": seed,
        **_conditions(config),
        "macs": cost.macs,
        "params": cost.params,
        "rows": [
            [
                check.step,
                check.evaluation.miou,
                check.evaluation.cross_entropy,
                round(check.seconds, 2),
            ]
            for check in result.checks
        ],
        # Of each step, for proxies that sum them (training speed estimation).
        "losses": [round(loss, 4) for loss in result.losses],
    }


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="scenes or camvid, or the path of a study.")],
    folders: Annotated[list[Path], typer.Argument(help="Folders of `run`, of one or more parts.")],
    output: Annotated[Path | None, typer.Option(help="A .parquet; by default the shipped.")] = None,
) -> None:
    """Adds the trials of folders to a table, which is made where there is none."""
    study, dataset = _load(name)
    target = output or _target(dataset)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for path in sorted(path for folder in folders for path in folder.glob("*-s*.json")):
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FILE_FORMAT:
            raise ConfigError(f"{path} is of format {content['format']}, not {FILE_FORMAT}")
        spec = ArchSpec.from_json(content["arch"])
        found[spec.id, content["seed"]] = content
    if not found:
        raise ConfigError(f"no trials in {', '.join(map(str, folders))}; make them with `run`")
    shared = _shared(found.values())
    rows = [
        (arch_id, item["arch"], item["kind"], seed, *scores, item["macs"], item["params"], seconds)
        for (arch_id, seed), item in found.items()
        for *scores, seconds in item["rows"]
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    machines = {_machine(item["provenance"]["machine"]) for item in found.values()}
    versions = {item["provenance"]["versions"]["torch"] for item in found.values()}
    if target.exists():
        before = load_benchmark(target)
        if _shared([before.study]) != shared:
            raise ConfigError(f"{target} is of another recipe or data; write to another --output")
        old = before.table
        known = zip(old["arch_id"], old["seed"], strict=True)
        frame = pd.concat([old[[pair not in found for pair in known]], frame], ignore_index=True)
        machines.update(before.study["machines"])
        versions.update(before.study["torch"])
    order = {kind: rank for rank, kind in enumerate(("allocation", "variation", "spread"))}
    frame = frame.sort_values(
        ["kind", "macs", "arch_id", "seed", "step"],
        key=lambda column: column.map(order) if column.name == "kind" else column,
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_benchmark(
        target,
        frame,
        {
            "description": study.description,
            "study": study.model_dump(mode="json"),
            **shared,
            "machines": sorted(machines),
            "torch": sorted(versions),
            "threads": 1,
        },
    )
    trials = frame.drop_duplicates(["arch_id", "seed"])
    print(f"{target}: {trials['arch_id'].nunique()} architectures, {len(trials)} trials")


def _machine(facts: dict[str, Any]) -> str:
    """The CPU, and by which vector instructions it rounds where that was noted."""
    instructions = facts.get("vector_instructions")
    return f"{facts['cpu']}, {instructions}" if instructions else str(facts["cpu"])


def _target(dataset: str) -> Path:
    return declarations_dir("experiments") / "benchmarks" / f"{dataset}.parquet"


def _conditions(config: SearchConfig) -> dict[str, Any]:
    """What all trials of a table are trained with alike, as plain data."""
    return {
        "recipe": _plain(config.recipe),
        "data": config.data.without_root(),
        "image_size": list(config.image_size),
        "num_classes": config.num_classes,
    }


def _shipped(target: Path, config: SearchConfig) -> set[tuple[str, int]]:
    """Architectures and seeds that the shipped table has, if it is of the same conditions."""
    if not target.exists():
        return set()
    before = load_benchmark(target)
    if _shared([before.study]) != _conditions(config):
        raise ConfigError(
            f"{target} was made by another recipe or data than the study's; its trials cannot stand"
            " beside new ones: remove it to begin anew"
        )
    return set(zip(before.table["arch_id"], before.table["seed"], strict=True))


def _plain(recipe: Recipe) -> dict[str, Any]:
    """A recipe as plain data, less what a search ranks by, which has no effect on training."""
    return recipe.model_dump(mode="json", exclude={"criterion"})


def _shared(items: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The conditions of trials, which must be alike; later fields of recipes are at default."""
    found = {
        json.dumps(
            {
                "recipe": _plain(Recipe.model_validate(item["recipe"])),
                "data": DataConfig.rooted(item["data"]).without_root(),
                "image_size": list(item["image_size"]),
                "num_classes": item["num_classes"],
            },
            sort_keys=True,
        )
        for item in items
    }
    if len(found) != 1:
        raise ConfigError("these trials were trained by different recipes or data; keep them apart")
    conditions: dict[str, Any] = json.loads(found.pop())
    return conditions


def _declared_archs(study: Study, config: SearchConfig) -> Iterator[tuple[Kind, ArchSpec]]:
    """In the order of their training, so that the first ones are of every kind and cost."""
    space = config.load_space()
    rng = Random(0)
    drawn = spread_archs(space, study.spread, config.cost_of, rng, draws=SPREAD_DRAWS)
    low, high = (config.cost_of(drawn[end]) for end in (0, -1))
    preset = get_hrvit(study.allocation)
    scaled = [
        scaled_arch(space, preset, config.cost_of, float(target))
        for target in np.geomspace(1.02 * low, 0.98 * high, study.costs)
    ]
    allocations = [spec for spec in scaled if spec is not None]
    if len(allocations) < study.costs:
        raise ConfigError(f"the space lacks {study.allocation}'s allocation at some cost")
    variations = _variations(space, allocations[study.costs // 2 - 1], study.variations, rng)
    rng.shuffle(drawn)
    seen: set[str] = set()
    queues: list[tuple[Kind, list[ArchSpec]]] = [
        ("allocation", allocations),
        ("variation", variations),
        ("spread", drawn),
    ]
    total = sum(len(specs) for _, specs in queues)
    taken = [0] * len(queues)
    for place in range(1, total + 1):
        # The kind that lags furthest behind its share; that of allocations is had in a quarter.
        shares = [
            min(1.0, (4 if kind == "allocation" else 1) * place / total) * len(specs) - done
            for (kind, specs), done in zip(queues, taken, strict=True)
        ]
        i = shares.index(max(shares))
        kind, specs = queues[i]
        spec = specs[taken[i]]
        taken[i] += 1
        if spec.id not in seen:
            seen.add(spec.id)
            yield kind, spec


def _variations(space: Space, spec: ArchSpec, count: int, rng: Random) -> list[ArchSpec]:
    """Those within the limits that differ from one in a single gene, of as many genes as can."""
    values = space.genes_of(spec)
    found: list[ArchSpec] = []
    genes = [gene for gene in space.genes if len(gene.choices) > 1]
    while genes and len(found) < count:
        rng.shuffle(genes)
        for gene in list(genes):
            others = [choice for choice in gene.choices if choice != values[gene.name]]
            rng.shuffle(others)
            for choice in others:
                try:
                    changed = space.spec_of({**values, gene.name: choice})
                except SpaceError:
                    continue
                if changed not in found:
                    found.append(changed)
                    break
            else:
                genes.remove(gene)
    return found[:count]


def _part(text: str) -> tuple[int, int]:
    try:
        first, count = map(int, text.split("/"))
    except ValueError:
        first, count = -1, 0
    if not 0 <= first < count:
        raise ConfigError(f"--part must be such as 0/2 or 1/2, got {text!r}")
    return first, count


def _load(name: str) -> tuple[Study, str]:
    """A study, and the data set that it is of."""
    declared = name if Path(name).suffix == ".yaml" else f"truth_{name}"
    folder = declarations_dir("experiments") / "studies"
    dataset = Path(declared).stem.removeprefix("truth_")
    return load_declaration(Study, declared, folder, "study"), dataset


if __name__ == "__main__":
    run_app(app, "truth_study")
