"""Checkpoints of both kinds of training: going on bit for bit, other runs, earlier formats."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_trainings import (
    SPACE,
    Net,
    StopRunError,
    assert_same_progress,
    assert_same_result,
    assert_same_weights,
    build_net,
    build_super,
    declare,
    plain_recipe,
    plan,
    run_plain,
    run_super,
    stop_at,
    super_recipe,
)

from hrvit_nas.training import (
    CheckpointError,
    load_supernet,
    read_progress,
    save_supernet,
)
from hrvit_nas.training.packing import unpack
from hrvit_nas.training.recipe import RENAMED

# Going on


@pytest.mark.parametrize("averaging", [0, 0.9])
@pytest.mark.parametrize("stop", [1, 2, 6, 7, 11])  # an epoch has three steps
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop, averaging):
    settings = plain_recipe(evaluations=4, weight_averaging=averaging)
    whole_model, resumed_model = build_net(), build_net(model_seed=9)
    whole = run_plain(whole_model, settings)

    path = tmp_path / "run" / "last.pt"
    saves = {"checkpoint": path, "checkpoint_seconds": 0}
    with pytest.raises(StopRunError):
        run_plain(build_net(), settings, **saves, on_step=stop_at(stop))
    seen = []
    resumed = run_plain(resumed_model, settings, **saves, on_step=lambda p: seen.append(p.step))
    assert seen == list(range(stop + 1, 13))
    assert_same_result(whole, resumed)
    assert_same_weights(whole_model, resumed_model)
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("stop", "sampling"), [(1, "space"), (4, "cost"), (5, "cost"), (7, "space")]
)  # an epoch has four steps
def test_a_stopped_supernet_goes_on_bit_for_bit(tmp_path, data, stop, sampling):
    whole, resumed, how = build_super(), build_super(seed=9), plan(sampling=sampling)
    expected = run_super(whole, data, how=how)
    path = tmp_path / "run" / "supernet.pt"
    saves = {"checkpoint": path, "checkpoint_seconds": 0}
    with pytest.raises(StopRunError):
        run_super(build_super(), data, how=how, **saves, on_step=stop_at(stop))
    steps = []
    progress = run_super(
        resumed,
        data,
        how=how,
        checkpoint=path,
        on_step=lambda progress: steps.append(progress.step),
    )
    assert steps == list(range(stop + 1, 9))
    assert_same_progress(progress, expected)
    assert_same_weights(resumed, whole)
    assert [file.name for file in path.parent.iterdir()] == ["supernet.pt"]


def test_a_run_killed_between_evaluations_goes_on_from_its_last_checkpoint(tmp_path):
    class Killed(Net):
        calls = 0

        def forward(self, images):
            self.calls += 1
            if self.calls == 8:
                raise KeyboardInterrupt
            return super().forward(images)

    path = tmp_path / "last.pt"
    killed = build_net(kind=Killed)
    with pytest.raises(KeyboardInterrupt):
        run_plain(killed, checkpoint=path, checkpoint_seconds=0)
    counted = Killed()
    counted.calls = 100
    resumed = run_plain(counted, checkpoint=path)
    assert counted.calls == 100 + (12 - 7) + 1
    assert_same_result(run_plain(build_net()), resumed)


def test_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "last.pt"
    first_model, second_model = build_net(), build_net(model_seed=1)
    first = run_plain(first_model, checkpoint=path)
    stamp = path.stat().st_mtime_ns
    second = run_plain(second_model, checkpoint=path, on_step=stop_at(12))
    assert_same_result(first, second)
    assert_same_weights(first_model, second_model)
    assert second.seconds == first.seconds
    assert path.stat().st_mtime_ns == stamp


def test_a_finished_supernet_is_not_repeated(tmp_path, data):
    path = tmp_path / "supernet.pt"
    first, second = build_super(), build_super(seed=1)
    expected = run_super(first, data, checkpoint=path)
    progress = run_super(second, data, checkpoint=path, on_step=stop_at(8))
    assert_same_progress(progress, expected)
    assert_same_weights(first, second)


# Files of no use


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: torch.save({"weights": torch.zeros(2)}, path),
        lambda path: path.write_bytes(pickle.dumps(print, protocol=2)),
    ],
    ids=["empty", "text", "truncated", "foreign", "pickle"],
)
def test_a_broken_checkpoint_is_named(tmp_path, damage):
    path = tmp_path / "last.pt"
    run_plain(build_net(), checkpoint=path)
    damage(path)
    with pytest.raises(CheckpointError, match=r"^checkpoint .*last\.pt ") as caught:
        run_plain(build_net(), checkpoint=path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "is of another run: seed is 0 there, 1 here$"),
        (
            {"settings": plain_recipe(learning_rate=1.0)},
            "is of another run: recipe.learning_rate is 0.02 there, 1.0 here$",
        ),
        ({"model": build_net(width=4)}, "is of another network: .*backbone.0.weight"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, change, message):
    path = tmp_path / "last.pt"
    run_plain(build_net(), checkpoint=path)
    run = {"seed": 0, "settings": plain_recipe(), "model": build_net(), **change}
    with pytest.raises(CheckpointError, match=message):
        run_plain(run["model"], run["settings"], seed=run["seed"], checkpoint=path)


def test_a_run_may_go_on_with_another_number_of_workers(tmp_path):
    path = tmp_path / "last.pt"
    first = run_plain(build_net(), checkpoint=path)
    second = run_plain(build_net(), plain_recipe(num_workers=2), checkpoint=path)
    assert_same_result(first, second)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, "another run: seed is 4 there, 5 here$"),
        (
            {"settings": super_recipe(learning_rate=1.0)},
            r"recipe.learning_rate is 0\.005 there, 1\.0",
        ),
        ({"how": plan(distillation=0.1)}, r"supernet\.distillation is 0\.5 there, 0\.1 here"),
        ({"how": plan(steps=9)}, "supernet.steps is 8 there, 9 here"),
        ({"net": declare(8, 24)}, "another run: space is "),
    ],
    ids=["seed", "recipe", "plan", "steps", "space"],
)
def test_a_checkpoint_of_another_supernet_is_refused(tmp_path, data, change, message):
    path = tmp_path / "supernet.pt"
    run_super(build_super(), data, checkpoint=path)
    net = build_super(space=change.pop("net", SPACE))
    with pytest.raises(CheckpointError, match=message):
        run_super(net, data, checkpoint=path, **change)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path, data):
    path = tmp_path / "last.pt"
    run_plain(build_net(), checkpoint=path)
    with pytest.raises(CheckpointError, match=r"its training is plain there, sandwich here$"):
        run_super(build_super(), data, checkpoint=path)
    with pytest.raises(CheckpointError, match=r"its training is plain there, sandwich here$"):
        load_supernet(path, build_super())


# Formats of versions before


def as_training_2(state):
    """The layout of `hrvit_nas.training/2`."""
    progress = state["progress"]
    return {
        "format": "hrvit_nas.training/2",
        "run": state["run"],
        "model": state["model"],
        "optimizer": state["optimizer"],
        "seconds": progress["seconds"],
        "losses": progress["losses"],
        "average": state.get("average"),
        "checks": [tuple(check) for check in progress["checks"]],
    }


def with_old_names(state):
    """Two fields of a supernet's recipe had other names."""
    renamed = {f"supernet.{new}": f"supernet.{old}" for old, new in RENAMED.items()}
    run = {renamed.get(key, key): item for key, item in state.get("run", {}).items()}
    return {**state, "run": run} if "run" in state else state


def as_training_3(state):
    """The layout of `hrvit_nas.training/3`, of both kinds."""
    return {"format": "hrvit_nas.training/3", **with_old_names(state)}


def as_supernet_1(state):
    """The layout of `hrvit_nas.supernet/1`."""
    state = with_old_names(state)
    kept = {key: state[key] for key in ("model", "run", "optimizer", "space") if key in state}
    progress = {**state["progress"], "losses": state["progress"]["losses"].tolist()}
    return {"format": "hrvit_nas.supernet/1", **kept, "progress": progress}


def rewrite(path, layout):
    torch.save(layout(unpack(torch.load(path, weights_only=True))), path)


@pytest.mark.parametrize("layout", [as_training_2, as_training_3])
@pytest.mark.parametrize("averaging", [0, 0.9])
def test_a_checkpoint_of_a_version_before_goes_on_bit_for_bit(tmp_path, layout, averaging):
    settings = plain_recipe(evaluations=4, weight_averaging=averaging)
    path, whole_model, resumed_model = tmp_path / "last.pt", build_net(), build_net(model_seed=9)
    whole = run_plain(whole_model, settings)
    with pytest.raises(StopRunError):
        run_plain(build_net(), settings, checkpoint=path, on_step=stop_at(6))
    rewrite(path, layout)
    seen = []
    resumed = run_plain(
        resumed_model, settings, checkpoint=path, on_step=lambda p: seen.append(p.step)
    )
    assert seen == [9, 12]
    assert_same_result(whole, resumed)
    assert_same_weights(whole_model, resumed_model)
    rewrite(path, layout)
    with pytest.raises(CheckpointError, match=r"of another run: seed is 0 there, 1 here$"):
        run_plain(build_net(), settings, seed=1, checkpoint=path)


@pytest.mark.parametrize("layout", [as_supernet_1, as_training_3])
def test_a_supernets_checkpoint_of_a_version_before_goes_on_bit_for_bit(tmp_path, data, layout):
    path, whole, resumed = tmp_path / "last.pt", build_super(), build_super(seed=9)
    expected = run_super(whole, data)
    with pytest.raises(StopRunError):
        run_super(build_super(), data, checkpoint=path, on_step=stop_at(4))
    rewrite(path, layout)
    steps = []
    progress = run_super(resumed, data, checkpoint=path, on_step=lambda p: steps.append(p.step))
    assert steps == [5, 6, 7, 8]
    assert_same_progress(progress, expected)
    assert_same_weights(resumed, whole)


@pytest.mark.parametrize("layout", [as_supernet_1, as_training_3])
def test_a_supernet_that_a_version_before_trained_is_loaded(tmp_path, data, layout):
    path, net, again = tmp_path / "supernet.pt", build_super(), build_super(seed=1)
    progress = run_super(net, data)
    save_supernet(path, net, progress)
    rewrite(path, layout)
    assert read_progress(path) == load_supernet(path, again) == progress
    assert_same_weights(net, again)


@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_a_full_disk_is_an_error_of_the_system_and_leaves_the_old_file(tmp_path, room):
    code = """if True:
        import resource, signal, sys, torch
        from pathlib import Path
        from hrvit_nas.training.checkpoint import write_state
        path, room = Path(sys.argv[1]), int(sys.argv[2])
        write_state(path, {"old": torch.zeros(1)})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            write_state(path, {"new": torch.zeros(100_000)})
        except OSError as error:
            print(error)
        assert torch.load(path, weights_only=True) == {"old": torch.zeros(1)}
    """
    path = tmp_path / "state.pt"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(room)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == f"[Errno 27] File too large: '{path}'\n"
    assert [left.name for left in tmp_path.iterdir()] == [path.name]
