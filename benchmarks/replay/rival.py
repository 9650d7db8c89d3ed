"""A search of another package, asked and told over pipes: it runs in an environment of its own.

    python -m venv rivals && rivals/bin/pip install -r benchmarks/rivals.txt

Reads the space as one line of JSON, then writes a line a training and reads what came of it, until
its input ends. Genes are integers, the places of their choices; both objectives are minimised.
"""

import json
import logging
import random
import sys
import warnings


def syne_tune_moasha(task):
    """Syne Tune's MOASHA: random draws, stopped at a rung unless among the best there."""
    import datetime

    from syne_tune.backend.trial_status import Trial
    from syne_tune.config_space import randint
    from syne_tune.optimizer.scheduler import SchedulerDecision
    from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA

    scheduler = MOASHA(
        {name: randint(0, count - 1) for name, count in task["genes"].items()},
        metrics=["loss", "cost"],
        time_attr="steps",
        max_t=task["max_t"],
        grace_period=task["grace_period"],
        reduction_factor=task["reduction_factor"],
        random_seed=task["seed"],
    )
    number = 0
    while True:
        config = {name: int(place) for name, place in scheduler.suggest().config.items()}
        trial = Trial(number, config, datetime.datetime.now())
        scheduler.on_trial_add(trial)
        below = 0
        for steps in (task["grace_period"], task["max_t"]):
            loss, cost = yield config, steps, below
            result = {"loss": loss, "cost": cost, "steps": steps}
            if scheduler.on_trial_result(trial, result) != SchedulerDecision.CONTINUE:
                break
            below = steps
        number += 1


def neps(task, make):
    """An optimiser of NePS."""
    from neps import AskAndTell

    optimizer = AskAndTell(make(_neps_space(task)))
    reached = {}
    while True:
        trial = optimizer.ask()
        config = {name: int(trial.config[name]) for name in task["genes"]}
        steps = int(trial.config["steps"])
        place = tuple(config.values())
        below = reached.get(place, 0)
        losses = yield config, steps, below if below < steps else 0
        reached[place] = max(steps, below)
        optimizer.tell(trial, {"objective_to_minimize": list(losses)})


def _neps_space(task):
    from neps.space import HPOInteger, SearchSpace

    genes = {name: HPOInteger(lower=0, upper=count - 1) for name, count in task["genes"].items()}
    steps = HPOInteger(lower=task["grace_period"], upper=task["max_t"], is_fidelity=True)
    return SearchSpace({**genes, "steps": steps})


def neps_mo_hyperband(task):
    """NePS's multi-objective Hyperband."""
    from neps.optimizers.algorithms import mo_hyperband

    return neps(task, lambda space: mo_hyperband(space, eta=task["reduction_factor"]))


def neps_primo(task):
    """NePS's PriMO, told that dear architectures score well and which are cheap."""
    from neps.optimizers.algorithms import primo

    return neps(
        task,
        lambda space: primo(
            space,
            eta=task["reduction_factor"],
            prior_centers={"loss": task["dearest"], "cost": task["cheapest"]},
        ),
    )


RIVALS = {
    "syne_tune_moasha": syne_tune_moasha,
    "neps_mo_hyperband": neps_mo_hyperband,
    "neps_primo": neps_primo,
}


def main():
    """Searches until nobody listens."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    pipe, sys.stdout = sys.stdout, sys.stderr  # what packages print goes elsewhere
    task = json.loads(sys.stdin.readline())
    random.seed(task["seed"])
    import numpy as np

    np.random.seed(task["seed"])
    try:
        import torch

        torch.manual_seed(task["seed"])
        torch.set_num_threads(1)
    except ImportError:
        pass
    search = RIVALS[task["rival"]](task)
    asked = next(search)
    while True:
        print(json.dumps(asked), file=pipe, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            return
        asked = search.send(json.loads(answer))


if __name__ == "__main__":
    main()
