"""Small ledgers for the tests: observations with chosen values, without training anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.observation import Observation

GRID = {"scaling": ("none", "xnor"), "downsampling": ("binary", "fp"), "estimator": ("ste", "approx_sign")}


def observe(
    axes: Mapping[str, str],
    seed: int,
    state: RunState = RunState.FINISHED,
    config: Any = None,
    epochs: Sequence[Mapping[str, float]] = (),
    **metrics: float,
) -> Observation:
    """A run with these final metrics; "__" in a keyword stands for "/"."""
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    key = "-".join((*axes.values(), str(seed)))
    record = RunRecord(key, config, state, tuple(epochs), named if state is RunState.FINISHED else None)
    return Observation(dict(axes), seed, record)


def ledger(
    top1: Callable[[dict[str, str], int], float],
    seeds: Iterable[int] = range(3),
    grid: Mapping[str, Sequence[str]] = GRID,
) -> list[Observation]:
    """Every cell of a grid with every seed; `top1(axes, seed)` is the accuracy it reached."""
    cells = [dict(zip(grid, levels, strict=True)) for levels in product(*grid.values())]
    return [observe(axes, seed, test__top1=top1(axes, seed)) for axes in cells for seed in seeds]
