"""benchmarks/search.py: what answers for training, what is judged, and the last line."""

import re
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from scipy.stats import kendalltau

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import search as script  # noqa: E402
from replay.engine import Judge  # noqa: E402
from replay.pool import TableWorld  # noqa: E402
from replay.world import make_world, ridge, scales_of  # noqa: E402


@pytest.fixture(scope="module")
def setting():
    return script.Setting("scenes", "surrogate")


@pytest.fixture(scope="module")
def archs(setting):
    rng = Random(0)
    specs = [setting.space.sample(rng) for _ in range(120)]
    return [(spec, setting.config(script.ENGINES["random"], 0).cost_of(spec)) for spec in specs]


def test_a_world_answers_the_same_every_time_and_another_world_differently(setting, archs):
    first, again, other = (make_world(setting.benchmark, setting.space, seed) for seed in (0, 0, 1))
    spec, macs = archs[0]
    assert np.array_equal(first.scores(spec, macs, 0), again.scores(spec, macs, 0))
    assert not np.array_equal(first.scores(spec, macs, 0), first.scores(spec, macs, 1))
    assert not np.array_equal(first.truth(spec, macs), other.truth(spec, macs))
    assert first.seconds(macs, 200) == pytest.approx(first.seconds(macs, 600) / 3)


def test_scores_of_a_world_are_as_noisy_and_as_telling_as_those_of_the_table(setting, archs):
    found = []
    for seed in range(4):
        world = make_world(setting.benchmark, setting.space, seed)
        one, two = (np.array([world.scores(*arch, s)[-1, 0] for arch in archs]) for s in (0, 1))
        found.append((np.std(one - two) / 2**0.5, kendalltau(one, two)[0]))
    noise, tau = np.mean(found, 0)
    ends = setting.benchmark.scores()
    ends = ends - ends.mean(0)
    assert noise == pytest.approx(np.std(ends[:, 0] - ends[:, 1]) / 2**0.5, rel=0.25)
    assert tau == pytest.approx(setting.benchmark.ceiling.value, abs=0.12)


def test_scales_turn_back_and_keep_the_order():
    scores = np.random.default_rng(0).standard_normal((40, 2)) ** 3
    scales = scales_of(scores)
    assert scales.scores(scales.normal(scores)) == pytest.approx(scores, abs=1e-6)
    beyond = scales.scores(np.array([[-4.0, -4.0], [0.0, 0.0], [4.0, 4.0]]))
    assert (beyond[0] < scores.min(0)).all()
    assert (beyond[2] > scores.max(0)).all()


def test_what_ridge_leaves_has_the_variance_of_the_noise():
    rng = np.random.default_rng(0)
    left = []
    for _ in range(20):
        x = rng.standard_normal((40, 12))
        _, rest = ridge(x, (x[:, :2] @ [3.0, 1.0] + rng.standard_normal(40))[:, None], 0)
        left.append((rest**2).mean())
    assert np.mean(left) == pytest.approx(1.0, abs=0.15)


def test_a_table_is_seen_with_one_seed_and_judged_with_the_other(setting):
    world = TableWorld(setting.benchmark, setting.space, 0)
    spec = world.space.sample(Random(0))
    place = setting.benchmark.arch_ids.index(spec.id)
    both = setting.benchmark.scores()[place] - setting.benchmark.scores().mean(0)
    seen, judged = world.scores(spec, 0.0, 0)[-1, 0], world.truth(spec, 0.0)[-1, 0]
    centre = setting.benchmark.scores().mean()
    assert [judged - centre, seen - centre] == pytest.approx(both, abs=1e-9)
    values = setting.space.genes_of(spec)
    assert world.space.nearest(values, Random(0)) == spec
    assert world.space.mutate(spec, Random(0)) != spec


def test_what_is_handed_over_is_what_was_seen_and_judged_by_what_is_true(setting, archs):
    class Known:
        def truth(self, spec, macs):
            return np.array([[{0: 0.6, 1: 0.4}[order[spec.id]], 0.0]])

    (first, _), (second, _) = archs[:2]
    order = {first.id: 0, second.id: 1}
    judge = Judge(Known(), (0.3, 10.0))
    judge.take(1.0, first, (0.5, 4.0))
    judge.take(2.0, second, (0.7, 4.0))  # which only seems better
    assert [point.hypervolume for point in judge.points] == pytest.approx([0.3 * 6, 0.1 * 6])
    assert [point.size for point in judge.points] == [1, 1]


@pytest.mark.parametrize("name", ["random", "nsga2", "ehvi", "random, mo_asha", "ehvi, proxy"])
def test_a_replayed_search_is_the_same_again_and_spends_what_it_may(name, setting):
    points = setting.search(name, 3, 9.0, None)
    assert points == setting.search(name, 3, 9.0, None)
    spent = [point.seconds for point in points]
    assert spent == sorted(spent)
    world = setting.world(3)
    unit = world.seconds(setting.middling, 600)
    assert 9 * unit <= spent[-1] + 2 * unit
    assert points[-1].hypervolume > 0


def test_the_ratio_is_where_the_median_is_level():
    rising = np.minimum(1.0, script.GRID / 20)
    assert script.ratio(np.array([rising, rising, 0 * rising])) == 80 / 20
    assert script.ratio(np.array([0 * rising, 0 * rising, rising])) == 0.0
    falls_back = np.where(script.GRID == 30, 0.9, rising)
    assert script.ratio(np.array([falls_back])) == 80 / 30.5
    short = np.where(script.GRID > 25, -np.inf, rising)
    assert script.ratio(np.array([short])) == 80 / 20
    assert script.described(np.array([0.5 * short] * 3)) == "below 3.2"


def test_a_search_is_ahead_where_its_seeds_agree_that_it_is():
    ours = np.linspace(0.0, 1.0, len(script.GRID)) * np.ones((8, 1))
    assert script.ahead(ours, ours) == "nowhere"
    early = np.where(script.GRID <= 4, ours + 0.2, ours - 0.2)
    assert script.ahead(early, ours) == "from 1 to 4, by up to 0.20 [0.20, 0.20]"
    short = np.where(script.GRID > 6, -np.inf, early)
    assert script.ahead(short, ours) == "from 1 to 4, by up to 0.20 [0.20, 0.20]"
    late = np.where(np.isin(script.GRID, (30, 31)), ours + 0.1, ours)
    assert script.ahead(late, ours) == "from 30 to 31 in parts, by up to 0.10 [0.10, 0.10]"
    lucky = np.where(script.GRID <= 4, ours + np.array([[0.9], *[[-0.1]] * 7]), ours)
    assert lucky.mean() > ours.mean()
    assert script.ahead(lucky, ours) == "nowhere"


def test_the_last_line_is_the_ratio_and_what_is_there_is_not_replayed_again(
    setting, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(script, "TRAININGS", 12)
    monkeypatch.setattr(script, "GRID", script.GRID[script.GRID <= 12])
    monkeypatch.setattr(script, "BUDGETS", (8,))

    figure = tmp_path.parent / "replay.png"

    def report():
        script.main(
            "scenes", "surrogate", 2, 8, ["random"], False, None, tmp_path, figure, "random"
        )
        return capsys.readouterr().out

    said = report()
    assert re.search(r"2 seeds: random needs \d\.\d .*times fewer$", said.splitlines()[-1])
    assert "of members held out" in said.lower()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [
        "scenes-surrogate-random-0.json",
        "scenes-surrogate-random-1.json",
    ]
    before = [path.stat().st_mtime_ns for path in files]
    assert report() == said
    assert [path.stat().st_mtime_ns for path in files] == before
    assert figure.stat().st_size > 10_000
    files[0].write_text(files[0].read_text().replace('"table": "', '"table": "0'))
    assert report() == said, "of another table, it is replayed"
    assert files[0].stat().st_mtime_ns > before[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"only": ["nsga9"]}, "unknown: nsga9. Known: nsga2; tpe;"),
        ({"only": ["random"], "engine": "ehvi"}, "--engine must be one of what is replayed"),
        ({"only": ["neps_primo"], "engine": "random"}, "neps_primo need --rivals"),
        ({"only": ["random"], "quick": True}, "leave --only out"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_replayed(changes, expected):
    options = {"quick": False, "rivals": None, "output": None, "figure": None, "engine": "random"}
    with pytest.raises(script.ConfigError, match=expected):
        script.main("scenes", "surrogate", 2, 8, **{**options, **changes})


def test_a_rival_that_does_not_start_is_named(setting):
    with pytest.raises(script.ConfigError, match=r"syne_tune_moasha ended; .* must have"):
        setting.search("syne_tune_moasha", 0, 4.0, Path(sys.executable))
