"""Files that were truncated, or in which a bit was flipped: refused in one line, or mended.

Every kind of file is damaged at seeded random places, a quarter of them truncations, and read by
the functions that the commands read it with. `PLACES` says how many places; fewer of what takes
long to read.
"""

import json
import random
import shutil
from types import SimpleNamespace

import pytest
import torch
import yaml

from hrvit_nas._files import declarations_dir
from hrvit_nas._messages import LONGEST
from hrvit_nas.arch import ArchError, get_arch, get_hrvit, scale_widths
from hrvit_nas.models import build_segmentor, export_published_state, load_published_state
from hrvit_nas.models.published import read_published_state
from hrvit_nas.models.states import DamagedFileError
from hrvit_nas.results import StoreError, TrialStore, write_sealed
from hrvit_nas.samplers import SamplerError
from hrvit_nas.search.ablation import load_ablation
from hrvit_nas.search.ablation_results import _read_latencies
from hrvit_nas.search.checks import check_journal
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.layout import RunLayout
from hrvit_nas.search.named_arch import find_arch
from hrvit_nas.search.profiles import load_profile, load_recipe
from hrvit_nas.search.run import sampler_of
from hrvit_nas.search.selection import objective_values
from hrvit_nas.search.sittings import began, set_damaged_aside
from hrvit_nas.search.stored import read_config, write_config
from hrvit_nas.space import SpaceError, load_space
from hrvit_nas.training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint

MANY, SOME, FEW = 500, 100, 30
REFUSALS = (
    ArchError,
    CheckpointError,
    ConfigError,
    DamagedFileError,
    SamplerError,
    SpaceError,
    StoreError,
)


@pytest.fixture(scope="module")
def config(make_config):
    config = make_config(trials=4, sampler="random")
    config = config.with_num_classes(10)
    return config.model_copy(update={"as_started": config.load_space().to_dict()})


@pytest.fixture(scope="module")
def records(config, record):
    space, rng = config.load_space(), random.Random(0)
    specs = [space.sample(rng) for _ in range(4)]
    return [
        record(
            number=number,
            arch_id=spec.id,
            arch=spec.to_json(),
            budget=1,
            miou=0.1 + number / 10,
            macs=1000 + number,
            history=[(1, 0.1, None, 0.2)],
        )
        for number, spec in enumerate(specs)
    ]


@pytest.fixture
def run_dir(config, records, tmp_path):
    directory = tmp_path / "run"
    with TrialStore(directory, write=True) as store:
        for record in records:
            store.append(record)
        store.write_parquet()
    write_config(RunLayout(directory), config)
    return directory


def damaged(content, seed, count):
    """Copies of a content, each with a bit flipped or truncated, and whether it is the latter."""
    rng = random.Random(seed)
    for number in range(count):
        at = rng.randrange(len(content))
        if number % 4 == 0:
            yield content[:at], True
        else:
            changed = bytearray(content)
            changed[at] ^= 1 << rng.randrange(8)
            yield bytes(changed), False


def outcomes(path, count, read, *, mend=None):
    """Damages a file again and again; what reading it gave, None where it was refused.

    Args:
        path: The file, which is whole again at the end.
        count: Places.
        read: Reads it.
        mend: Puts in order what reading has changed.
    """
    whole, lines = path.read_bytes(), []
    for content, truncated in damaged(whole, path.name, count):
        path.write_bytes(content)
        try:
            found = read()
        except REFUSALS as error:
            lines.append(str(error))
            found = None
        if mend is not None:
            mend()
        yield found, truncated
    path.write_bytes(whole)
    for line in lines:
        assert "\n" not in line
        assert len(line) <= LONGEST
        assert path.name in line


def test_no_flip_in_a_journal_is_read_as_something_else(run_dir, records):
    journal = run_dir / "trials.jsonl"
    found = list(outcomes(journal, MANY, lambda: TrialStore(run_dir).records()))
    for read, truncated in found:
        if read is not None:
            assert read == records[: len(read)]
            assert truncated or len(read) == len(records) - 1
    assert sum(read is None for read, _ in found) > MANY / 2


def test_no_flip_in_a_configuration_is_read_as_something_else(run_dir, config):
    found = list(outcomes(run_dir / "config.json", MANY, lambda: read_config(run_dir)))
    for read, _ in found:
        assert read is None or read.model_dump() == config.model_dump()


def test_a_table_is_written_anew_or_is_good(run_dir, records):
    def read():
        with TrialStore(run_dir, write=True) as store:
            check_journal(store)
            return store.rows_in_table()

    for rows, _ in outcomes(run_dir / "trials.parquet", MANY, read):
        assert rows is not None
        assert rows <= len(records)


def test_a_study_is_made_anew_or_is_good(run_dir, config, records):
    run = SimpleNamespace(
        layout=RunLayout(run_dir),
        config=config,
        space=config.load_space(),
        store=TrialStore(run_dir),
    )
    sampler_of(run)

    def read():
        sampler = sampler_of(run)
        known = {
            trial.user_attrs["arch_id"]: tuple(trial.values)
            for trial in sampler._study.get_trials(deepcopy=False)
            if trial.values is not None
        }
        return known, sampler.ask().spec.id

    def mend():
        for path in run_dir.glob("study.db*"):
            path.unlink()

    told = {r.arch_id: objective_values(r, config.costs, config.searched_by) for r in records}
    for found, _ in outcomes(run_dir / "study.db", FEW, read, mend=mend):
        assert found is not None
        known, next_id = found
        assert known == told
        assert next_id not in told


def test_provenance_begins_anew_or_is_read(run_dir):
    path = run_dir / "provenance.json"
    path.write_text(json.dumps([{"versions": {"torch": "2"}, "seeds": [0]}] * 3, indent=2))

    def read():
        set_damaged_aside(path)
        return began(path)

    assert all(found for found, _ in outcomes(path, MANY, read))


def test_latencies_are_left_out_or_are_as_written(tmp_path):
    times = {"0123456789ab": [1.5, 2.25], "ba9876543210": [3.0, 4.125]}
    path = tmp_path / "latency.json"
    write_sealed(path, {"arches": ["a", "b"], "ms": times})
    for found, _ in outcomes(path, MANY, lambda: _read_latencies(path)):
        assert found in (None, times)


def test_a_checkpoint_is_refused_or_is_as_written(tmp_path):
    path = tmp_path / "state.pt"
    state = {"model": {"weight": torch.arange(64.0)}, "progress": {"seconds": 1.5}, "run": {"a": 1}}
    write_checkpoint(path, "plain", state)
    for read, _ in outcomes(path, MANY, lambda: read_checkpoint(path, "plain")):
        if read is not None:
            assert torch.equal(read["model"]["weight"], state["model"]["weight"])
            assert (read["progress"], read["run"]) == (state["progress"], state["run"])


def test_a_published_checkpoint_is_refused_or_is_as_written(tmp_path):
    spec = scale_widths(get_hrvit("hrvit_b1"), 0.25)
    model = build_segmentor(spec, 2)
    state = export_published_state(model)
    path = tmp_path / "published.pth"
    torch.save({"state_dict": state}, path)
    load_published_state(model, read_published_state(path))
    for read, _ in outcomes(path, SOME, lambda: read_published_state(path)):
        if read is not None:
            assert read["state_dict"].keys() == state.keys()
            assert all(torch.equal(read["state_dict"][name], state[name]) for name in state)


def test_an_architecture_is_refused_or_is_one(tmp_path):
    path = tmp_path / "arch.json"
    path.write_text(get_arch("hrvit_b1").to_json())
    for read, _ in outcomes(path, MANY, lambda: find_arch(str(path))[0]):
        assert read is None or type(read) is type(get_arch("hrvit_b1"))


DECLARATIONS = {
    "space": ("search_spaces/heterogeneous_branches", load_space, SOME),
    "recipe": ("experiments/recipes/laptop", load_recipe, MANY),
    "profile": ("experiments/laptop", load_profile, MANY),
    "ablation": ("experiments/ablations/published_components", load_ablation, SOME),
}


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_a_declaration_is_refused_or_is_one(kind, tmp_path):
    name, load, count = DECLARATIONS[kind]
    folder, _, file = name.partition("/")
    path = tmp_path / f"{kind}.yaml"
    shutil.copy(declarations_dir(folder) / f"{file}.yaml", path)
    whole = load(str(path))
    assert yaml.safe_load(path.read_text())
    for read, _ in outcomes(path, count, lambda: load(str(path))):
        assert read is None or type(read) is type(whole)
