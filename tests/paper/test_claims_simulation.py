"""The small, seeded form of benchmarks/claims_simulation.py: how often verdicts are wrong on ledgers of
known truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bnnlab.paper.statistics import paired_effect
from bnnlab.paper.verdicts import Verdict

LEDGERS = 150


def _load():
    path = Path(__file__).parents[2] / "benchmarks" / "claims_simulation.py"
    spec = importlib.util.spec_from_file_location("claims_simulation", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


simulation = _load()
WORLD = simulation.WORLDS[-1]


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("effect", [0.0, 0.5, -1.0])
def test_wrong_verdicts_stay_within_five_per_cent(effect, seeds):
    counts = simulation.tally(effect, seeds, WORLD, LEDGERS, together=False)
    # The most wrong verdicts that a true rate of 5 % gives in 150 ledgers, but once in a thousand times.
    tolerated = stats.binom.ppf(0.999, LEDGERS, 0.05)
    for text, count in counts.items():
        for verdict in (Verdict.REPLICATED, Verdict.CONTRADICTED, Verdict.DIRECTION_ONLY):
            assert count.wrong[verdict] <= tolerated, (text, verdict)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_hold_the_truth_19_times_in_20(seeds):
    random = np.random.default_rng(seeds)
    covered = 0
    for _ in range(4 * LEDGERS):
        runs = simulation.simulate(random, 1.0, seeds, WORLD)
        effect = paired_effect(runs, "scaling", "xnor", "none", "test/top1")
        covered += effect.low <= 0.01 <= effect.high
    low, high = stats.binom.ppf([0.001, 0.999], 4 * LEDGERS, 0.95)
    assert low <= covered <= high


def test_large_effects_are_found():
    counts = simulation.tally(3.0, 5, WORLD, LEDGERS, together=False)
    assert counts["increase"].verdicts[Verdict.REPLICATED] == LEDGERS
    assert counts["decrease"].verdicts[Verdict.CONTRADICTED] == LEDGERS
    assert counts["at least 1"].verdicts[Verdict.REPLICATED] > 0.9 * LEDGERS


@pytest.mark.parametrize("world", simulation.WORLDS, ids=lambda world: world.name)
def test_the_seed_as_replicate_covers_in_every_world(world):
    shares = {name: share for name, share, _ in simulation.coverage(world, 5, 4 * LEDGERS)}
    low, high = stats.binom.ppf([0.001, 0.999], 4 * LEDGERS, 0.95) / (4 * LEDGERS)
    assert low <= shares["seed"] <= high


def test_the_other_replicates_fail_where_cells_or_seeds_differ():
    differing = {name: share for name, share, _ in simulation.coverage(simulation.WORLDS[1], 5, 4 * LEDGERS)}
    responding = {name: share for name, share, _ in simulation.coverage(simulation.WORLDS[2], 5, 4 * LEDGERS)}
    assert differing["pair"] > 0.985
    assert responding["pair"] < 0.90
    assert responding["residual"] < 0.90
