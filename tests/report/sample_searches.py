"""Searches to report on, simulated: accuracy against size with everything that can become of a trial, and one
objective with conditional parameters."""

from __future__ import annotations

import math

import numpy as np
from sample_studies import run_config

from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.observation import Observation
from bnnlab.report.study import StudyResults
from bnnlab.sweep.search.front import dominates
from bnnlab.sweep.search.objectives import Constraint, Objective
from bnnlab.sweep.search.results import Searched, SearchResults, TrialResult

LIMIT = Constraint("model/size_mib", "at_most", 4.1)
TOP1, SIZE = Objective("val/top1", "maximize"), Objective("model/size_mib", "minimize")


def trial(number, state="completed", point=(), values=(), metrics=(), **more):
    held = {"constraints": {LIMIT.text: -1.0}, "name": None, "why": "", "cell": None, "run_keys": ()}
    return TrialResult(number, state, dict(point), dict(values), metrics=dict(metrics), **held | more)


def results(trials, parameters, objectives, **more):
    good = [found for found in trials if found.state == "completed" and found.is_feasible]
    vectors = [[o.sign * found.values[o.metric] for o in objectives] for found in good]
    front = tuple(
        found.number
        for found, own in zip(good, vectors, strict=True)
        if not any(dominates(other, own) for other in vectors)
    )
    settings = {
        "study": "growth_and_depth",
        "question": "Which growth rate and depth make the best network of at most 4.1 MiB?",
        "profile": "cifar10",
        "search_id": "0123456789ab",
        "parameters": tuple(parameters),
        "objectives": tuple(objectives),
        "constraints": (LIMIT,),
        "seeds": (0,),
        "budget": 24,
        "seconds": 250.0,
        "trials": tuple(trials),
        "front": front[:1] if len(objectives) == 1 else front,
        "history": tuple((found.number, 0.1 * at) for at, found in enumerate(good)),
        "importances": {},
        "journal": "runs/.searches/growth_and_depth-cifar10-0123456789ab/journal.log",
    }
    return SearchResults(**settings | more)


def study(search, observations, **more):
    settings = {
        "name": search.study,
        "question": search.question,
        "profile": search.profile,
        "plan": search.search_id,
        "axes": {"trial": tuple(dict.fromkeys(run.axes["trial"] for run in observations))},
        "observations": observations,
        "spec_text": "name: growth_and_depth\nsearch: {…}\n",
        "search": search,
        "commands": {found.number: f"bnnlab sweep reports/best/trial_{found.number:03}.yaml" for found in search.best},
        "links": {run.run_key: "http://127.0.0.1:5000/#/experiments/1/runs/abc" for run in observations[:1]},
    }
    return StudyResults(**settings | more)


def run(key, number, epochs, *, state=RunState.FINISHED, data="cifar10", metrics=None):
    config = run_config(data={"name": data})
    curve = tuple({"val/top1": value, "train/loss": 1 - value} for value in epochs)
    return Observation({"trial": str(number)}, 0, RunRecord(key, config, state, curve, metrics))


def two_objectives(completed=24, data="cifar10"):
    """The published network first; then what a sampler might propose, with trials of every state."""
    random = np.random.default_rng(0)
    trials, runs = [], []
    for number in range(completed):
        growth, depth = (64, 6) if number == 0 else (int(random.integers(1, 5)) * 32, int(random.integers(2, 9)))
        size = 0.5 + growth * depth / 110
        top1 = 0.93 - 0.2 / size - abs(random.normal(0, 0.004))
        key = f"{number:016x}"
        curve = [top1 * (1 - 0.6 * math.exp(-epoch / 2)) for epoch in range(1, 9)]
        metrics = {"test/top1": top1 - 0.004, "test/top1_best": top1, "model/size_mib": size}
        values = {"val/top1": top1, "model/size_mib": size}
        name = "binary_densenet28" if number == 0 else None
        point = {"growth_rate": growth, "blocks_1": depth, "blocks_2": depth}
        held = {LIMIT.text: size - 4.1}
        trials.append(
            trial(number, "completed", point, values, metrics, constraints=held, name=name, cell=key, run_keys=(key,))
        )
        runs.append(run(key, number, curve, data=data, metrics=metrics))
    point = {"growth_rate": 128, "blocks_1": 9, "blocks_2": 9}
    key = "f" * 16
    trials += [
        trial(completed, "pruned", point, why="after epoch 2 of 8 it could not reach", cell=key, run_keys=(key,)),
        trial(completed + 1, "refused", point, why="model/size_mib is 8.1, not ≤ 4.1", name="binary_densenet45"),
        trial(completed + 2, "same", point, why="the cell of trial 3"),
        trial(completed + 3, "diverged", point, why="the loss became NaN"),
        trial(completed + 4, "running", point),
    ]
    runs.append(run(key, completed, [0.3, 0.4], state=RunState.PRUNED, data=data))
    shares = {"growth_rate": 0.6, "blocks_1": 0.3, "blocks_2": 0.1}
    importances = {"val/top1": shares, "model/size_mib": shares} if completed >= 10 else {}
    parameters = [
        Searched("growth_rate", 32, 128),
        Searched("blocks_1", 2, 14),
        Searched("blocks_2", 2, 14),
    ]
    return study(results(trials, parameters, [TOP1, SIZE], importances=importances), runs)


def one_objective(completed=12):
    """An optimizer, its learning rate, and a momentum that only one of them has; all networks alike."""
    random = np.random.default_rng(1)
    trials, runs = [], []
    for number in range(completed):
        name = ("adam", "sgd")[number % 2]
        point = {"optimizer": name, "lr": float(10 ** random.uniform(-4, 0))}
        point |= {"momentum": 0.9} if name == "sgd" else {}
        top1 = 0.9 - 0.05 * abs(math.log10(point["lr"]) + 2) + (0.01 if name == "adam" else 0)
        key = f"{number:016x}"
        metrics = {"test/top1": top1, "model/size_mib": 0.5203}
        trials.append(trial(number, point=point, values={"val/top1": top1}, metrics=metrics, cell=key, run_keys=(key,)))
        runs.append(run(key, number, [top1 / 2, top1], data="digits", metrics=metrics))
    parameters = [
        Searched("optimizer", choices=("adam", "sgd")),
        Searched("lr", 1e-4, 1, log=True),
        Searched("momentum", 0.8, 0.99),
    ]
    best = max(trials, key=lambda found: found.values["val/top1"])
    so_far = [max(found.values["val/top1"] for found in trials[: at + 1]) for at in range(completed)]
    search = results(
        trials,
        parameters,
        [TOP1],
        constraints=(),
        front=(best.number,),
        history=tuple(zip(range(completed), so_far, strict=True)),
        importances={"val/top1": {"optimizer": 0.1, "lr": 0.8, "momentum": 0.1}},
        profile="digits",
    )
    return study(search, runs)


def nothing_yet():
    """A search whose first trial has just begun."""
    parameters = [Searched("growth_rate", 32, 128)]
    search = results([trial(0, "running", {"growth_rate": 64})], parameters, [TOP1, SIZE], history=())
    return study(search, [])
