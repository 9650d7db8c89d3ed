"""A search that stands on a calibration: the calibration must be of the same thing."""

import json

import numpy as np
import pytest

from hrvit_nas.results import HistoryPoint, TrialRecord, TrialStore, calibrate
from hrvit_nas.search.config_parts import ConfigError
from hrvit_nas.search.proxy_noise import proxy_noise


@pytest.fixture
def calibrated(make_config, tmp_path):
    """Makes the run directory of a calibration, without training."""

    def make(num=6, **changes):
        config = make_config("calibration", **changes)
        rng = np.random.default_rng(0)
        with TrialStore(tmp_path / "run", write=True) as store:
            for arch in range(num):
                for seed in (0, 1):
                    store.append(
                        TrialRecord(
                            number=2 * arch + seed,
                            arch_id=f"{arch:012x}",
                            arch="{}",
                            purpose="calibration",
                            budget=1,
                            seed=seed,
                            state="complete",
                            miou=0.3,
                            macs=1000 + arch,
                            published_macs=1,
                            params=1,
                            peak_activation_bytes=1,
                            seconds=1,
                            steps=1,
                            finished_at="2026-01-01T00:00:00Z",
                            history=(
                                HistoryPoint(
                                    1,
                                    arch / 20 + 0.01 * rng.random(),
                                    cross_entropy=2 - arch / 5 + 0.1 * rng.random(),
                                ),
                            ),
                        )
                    )
        content = {"config": config.model_dump(mode="json"), "space": {}}
        (tmp_path / "run" / "config.json").write_text(json.dumps(content))
        return tmp_path / "run"

    return make


def test_the_noise_is_that_of_the_last_fidelity(calibrated, make_config):
    directory = calibrated()
    found = proxy_noise(directory, make_config())
    final = calibrate(TrialStore(directory).records()).final
    assert found.noise == final.components.seeds.value
    assert found.seed_tau == final.seed_tau.describe()
    assert (found.num_architectures, found.num_seeds, found.macs) == (6, 2, (1000, 1005))


def test_the_noise_is_of_what_is_ranked_by(calibrated, make_config):
    recipe = make_config().recipe.model_dump() | {"criterion": "cross_entropy"}
    directory = calibrated(recipe=recipe)
    config = make_config(recipe=recipe)
    found = proxy_noise(directory, config)
    records = TrialStore(directory).records()
    final = calibrate(records, "cross_entropy").final
    assert (found.criterion, found.noise) == ("cross_entropy", final.components.seeds.value)
    assert found.noise != calibrate(records).final.components.seeds.value
    assert config.model_copy(update={"proxy_noise": found}).ranking["noise"] == found.noise
    # Until it was so, runs kept the noise of mIoU, which says nothing of cross entropy.
    of_miou = found.model_copy(update={"criterion": "miou"})
    assert config.model_copy(update={"proxy_noise": of_miou}).ranking["noise"] is None


def test_how_often_it_looked_on_the_way_does_not_matter(calibrated, make_config):
    recipe = make_config().recipe.model_dump() | {"steps": 4}
    directory = calibrated(recipe=recipe | {"evaluations": 4})
    assert proxy_noise(directory, make_config(recipe=recipe)).num_seeds == 2


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"recipe": {"steps": 2, "warmup_steps": 0}}, "recipe: steps"),
        ({"space": "joint"}, "space"),
        ({"data": {"name": "scenes", "image_size": [32, 32]}}, "data: image_size"),
    ],
)
def test_a_calibration_of_something_else_is_refused(calibrated, make_config, changes, what):
    with pytest.raises(ConfigError, match=f"is of another {what}"):
        proxy_noise(calibrated(), make_config(**changes))


def test_a_calibration_of_another_narrowing_is_refused(calibrated, make_config):
    config = make_config()
    directory = calibrated()
    choices = {**config.narrowing.choices, "width_1": (8,)}
    narrower = config.narrowing.model_copy(update={"choices": choices})
    with pytest.raises(ConfigError, match=r"is of another space: width_1: \(8, 16\) there, \(8,\)"):
        proxy_noise(directory, make_config(narrowing=narrower))
    fewer = {name: value for name, value in config.narrowing.choices.items() if name != "width_1"}
    wider = config.narrowing.model_copy(update={"choices": fewer})
    with pytest.raises(ConfigError, match=r"is of another space: width_1: \(8, 16\) there, None"):
        proxy_noise(directory, make_config(narrowing=wider))
    limit = {"metric": "macs", "max": 2e7, "image_size": [32, 48]}
    limited = config.narrowing.model_dump() | {"limits": [limit]}
    with pytest.raises(ConfigError, match="is of another space: limits"):
        proxy_noise(directory, make_config(narrowing=limited))


def test_a_calibration_with_the_same_limits_fits_whatever_the_data_made_of_them(
    calibrated, make_config
):
    limit = {"metric": "macs", "max": 2e7, "image_size": [32, 48]}
    config = make_config(narrowing=make_config().narrowing.model_dump() | {"limits": [limit]})
    directory = calibrated(narrowing=config.with_num_classes(10).narrowing.model_dump())
    assert proxy_noise(directory, config).num_architectures == 6


def test_what_is_no_calibration_is_refused(calibrated, make_config, tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        proxy_noise(tmp_path / "nowhere", make_config())
    with pytest.raises(ConfigError, match="needs miou of at least 4 architectures"):
        proxy_noise(calibrated(num=3), make_config())
    directory = tmp_path / "run"
    content = {"config": make_config().model_dump(mode="json"), "space": {}}
    (directory / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="holds a search, not a calibration"):
        proxy_noise(directory, make_config())
    (directory / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is damaged"):
        proxy_noise(directory, make_config())
