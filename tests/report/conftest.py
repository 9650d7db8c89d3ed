"""Run directories as searches leave them, with made-up scores."""

import json
import os
import random
from pathlib import Path

import pytest

from hrvit_nas.arch import scale_widths
from hrvit_nas.cost import estimate_cost
from hrvit_nas.results import HistoryPoint, TrialStore
from hrvit_nas.search.layout import RunLayout

NUM_CLASSES = 8
IMAGE_SIZE = (32, 48)


@pytest.fixture(scope="session")
def assert_wording():
    """Compares lines with the file in `golden` that holds the wording of a report.

    With GOLDEN=write in the environment the files are written anew, to be read in the diff.
    """

    def check(name, lines):
        path = Path(__file__).parent / "golden" / f"{name}.txt"
        text = "".join(f"{line.rstrip()}\n" for line in lines)
        if os.environ.get("GOLDEN") == "write":
            path.write_text(text, encoding="utf-8")
        assert text.splitlines() == path.read_text(encoding="utf-8").splitlines()

    return check


@pytest.fixture(scope="session")
def write_run(record, make_config):
    """Writes a run directory: (directory, records, fields of the configuration)."""

    def write(directory, records, kind="search", **changes):
        config = make_config(kind, **changes)
        directory.mkdir(parents=True, exist_ok=True)
        with TrialStore(directory, write=True) as store:
            for item in records:
                store.append(item)
        content = {
            "config": config.model_dump(mode="json"),
            "space": config.load_space().to_dict(),
        }
        RunLayout(directory).config.write_text(json.dumps(content))
        return directory

    return write


@pytest.fixture(scope="session")
def trials_of(record, make_config):
    """Makes records of architectures of the tiny space, with fields by number."""
    space = make_config().load_space()

    def make(count, seed=0, **fields):
        rng, found = random.Random(seed), {}
        while len(found) < count:
            spec = space.sample(rng)
            found.setdefault(spec.id, spec)
        return [
            trial(spec, number=number, miou=0.2 + 0.01 * number + rng.gauss(0, 0.01), **fields)
            for number, spec in enumerate(found.values())
        ]

    def trial(spec, **fields):
        cost = estimate_cost(spec, IMAGE_SIZE, num_classes=NUM_CLASSES)
        costs = ("macs", "published_macs", "params", "peak_activation_bytes")
        miou = fields.get("miou") or 0.3
        history = tuple(HistoryPoint(step=s, miou=miou * s / 3) for s in (1, 2, 3))
        if fields.get("state") == "failed":
            history, fields["miou"] = (), None
        return record(
            arch_id=spec.id,
            arch=spec.to_json(),
            history=history,
            **{name: getattr(cost, name) for name in costs},
            **fields,
        )

    make.trial = trial
    return make


@pytest.fixture(scope="session")
def whole_run(write_run, trials_of, tmp_path_factory):
    """A search of 16 architectures, with two confirming seeds and a reference."""
    from hrvit_nas.arch import get_hrvit
    from hrvit_nas.results import summarise

    searched = trials_of(16)
    frontier = {row.arch_id for row in summarise(searched).frontier}
    reference = scale_widths(get_hrvit("hrvit_b1"), 0.25)
    records = [*searched, trials_of.trial(reference, purpose="reference", label="hrvit_b1")]
    for seed in (1, 2):
        again = [item for item in records if item.seed == 0 and item.purpose != "confirmation"]
        records += [
            item.model_copy(
                update={"seed": seed, "purpose": "confirmation", "miou": item.miou + 0.005 * seed}
            )
            for item in again
            if item.arch_id in frontier or item.label
        ]
    directory = tmp_path_factory.mktemp("whole") / "search"
    return write_run(directory, records, trials=16, sampler="nsga2")
