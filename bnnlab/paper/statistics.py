"""From the runs of a grid to an effect with its interval, and to the summary of each cell.

**The replicate is the seed.** The cells of a grid are chosen, not drawn: the effect of an axis may differ
from cell to cell of the other axes, and that difference is a fact of the grid, not noise. So the effect of
an axis is defined as the mean, over those cells, of treatment - control; each seed gives one estimate of
it; and the spread between these estimates is the only noise. n is the number of seeds, with n - 1 degrees
of freedom. Two tempting alternatives do not hold what they promise (`benchmarks/claims_simulation.py`): 95 %
intervals over pairs of runs hold 83 to 99.8 % of the true effects, by whether the seeds or the cells differ
more; over residuals within the cells 84 to 95 %; over seeds 95 % in every case.

A seed counts when all its planned pairs are recorded: averaging over whichever cells have finished would
estimate another effect for each seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from bnnlab.paper import inference
from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import Observation, cell_label

Cell = Mapping[str, str]
Part = Mapping[str, str | tuple[str, ...]]
_Context = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Contrast:
    """A difference between parts of a grid, seed by seed: what every estimate is computed from."""

    by_seed: Mapping[int, float]
    """One estimate for each seed all of whose runs are recorded, in the order of the seeds."""
    by_context: Mapping[str, float] = field(default_factory=dict)
    """The difference in each cell of the other axes, averaged over the same seeds."""
    pairs: int = 0
    """How many pairs of runs the plan holds."""
    missing: tuple[str, ...] = ()
    """The planned runs that are not recorded, each with the reason."""
    unpaired: tuple[str, ...] = ()
    """Cells of the other axes where the plan holds one side only; they do not take part."""
    run_keys: tuple[str, ...] = ()
    """The runs that the estimate comes from."""


@dataclass(frozen=True)
class Effect:
    """An estimated difference (or mean), in the unit of records."""

    difference: float | None
    """Mean over the seeds; None where no seed is complete."""
    low: float | None
    high: float | None
    """The 95 % t interval; None with one seed, or where the seeds do not differ at all."""
    p: float | None
    """Two-sided, of no difference."""
    n: int
    """Seeds, the replicates."""
    spread: float | None
    """Standard deviation between the seeds (n - 1)."""
    p_sign_flip: float | None
    """Two-sided, exact; symmetry is all that it assumes."""
    smallest_p: float | None
    """The smallest value that p_sign_flip can take with this n."""
    exact: bool
    """The metric is decided by the configuration (a size, a count): no seed changes it, and no test is
    needed."""
    contrast: Contrast

    @property
    def missing(self) -> tuple[str, ...]:
        """The planned runs that are not recorded."""
        return self.contrast.missing

    @property
    def values(self) -> tuple[float, ...]:
        """One estimate a seed."""
        return tuple(self.contrast.by_seed.values())


def estimate(contrast: Contrast, metric: str) -> Effect:
    """The mean over seeds of a contrast, with its interval and tests."""
    values = tuple(contrast.by_seed.values())
    deviation = inference.spread(values)
    exact = describe_metric(metric).exact and not deviation
    interval = (values[0], values[0]) if exact and values else inference.t_interval(values)
    return Effect(
        difference=fmean(values) if values else None,
        low=None if interval is None else interval[0],
        high=None if interval is None else interval[1],
        p=inference.two_sided_p(values),
        n=len(values),
        spread=deviation,
        p_sign_flip=None if exact else inference.sign_flip_p(values),
        smallest_p=None if exact else inference.smallest_sign_flip_p(len(values)),
        exact=exact,
        contrast=contrast,
    )


def paired_effect(
    observations: Iterable[Observation],
    axis: str,
    treatment: str,
    control: str,
    metric: str,
    within: Part | None = None,
) -> Effect:
    """The effect of one axis: treatment - control, paired over the other axes and the seed.

    Args:
        within: the part of the grid to look at; for each axis a level or several.
    """
    return estimate(contrast_cells(observations, {axis: treatment}, {axis: control}, metric, within), metric)


def contrast_cells(
    observations: Iterable[Observation],
    treatment: Cell,
    control: Cell,
    metric: str,
    within: Part | None = None,
) -> Contrast:
    """treatment - control, where both cells name the same axes, paired over the axes that they do not
    name."""
    part = _as_part(within)
    sides: dict[_Context, dict[int, dict[str, Observation]]] = defaultdict(lambda: defaultdict(dict))
    for observation in observations:
        if not observation.within(part):
            continue
        for side, cell in (("treatment", treatment), ("control", control)):
            if cell.items() <= observation.axes.items():
                context = tuple((axis, level) for axis, level in observation.axes.items() if axis not in cell)
                sides[tuple(sorted(context))][observation.seed].setdefault(side, observation)

    paired = {
        context: {seed: both for seed, both in by_seed.items() if len(both) == 2} for context, by_seed in sides.items()
    }
    unpaired = tuple(cell_label(dict(context)) for context, by_seed in paired.items() if not by_seed)
    paired = {context: by_seed for context, by_seed in paired.items() if by_seed}
    seeds = sorted({seed for by_seed in paired.values() for seed in by_seed})

    differences: dict[int, list[float]] = {}
    missing: list[str] = []
    keys: dict[int, list[str]] = defaultdict(list)
    for seed in seeds:
        found: list[float] = []
        for context, by_seed in paired.items():
            both = by_seed.get(seed)
            if both is None:
                missing.append(f"{cell_label(dict(context))}, seed {seed}: no pair is planned")
                continue
            values = {side: both[side].value(metric) for side in ("treatment", "control")}
            missing += [_describe_gap(both[side], metric) for side, value in values.items() if value is None]
            if values["treatment"] is not None and values["control"] is not None:
                found.append(values["treatment"] - values["control"])
            keys[seed] += [key for side in ("treatment", "control") if (key := both[side].run_key)]
        if len(found) == len(paired):
            differences[seed] = found
    columns = zip(*differences.values(), strict=True) if differences else iter(())
    return Contrast(
        by_seed={seed: fmean(found) for seed, found in differences.items()},
        by_context={cell_label(dict(context)): fmean(column) for context, column in zip(paired, columns, strict=False)},
        pairs=sum(len(by_seed) for by_seed in paired.values()),
        missing=tuple(missing),
        unpaired=unpaired,
        run_keys=tuple(key for seed in differences for key in keys[seed]),
    )


def contrast_of_contrasts(first: Contrast, second: Contrast) -> Contrast:
    """first - second, seed by seed: an interaction."""
    seeds = [seed for seed in first.by_seed if seed in second.by_seed]
    return Contrast(
        by_seed={seed: first.by_seed[seed] - second.by_seed[seed] for seed in seeds},
        by_context={
            context: first.by_context[context] - second.by_context[context]
            for context in first.by_context
            if context in second.by_context
        },
        pairs=min(first.pairs, second.pairs),
        missing=tuple(dict.fromkeys((*first.missing, *second.missing))),
        unpaired=tuple(dict.fromkeys((*first.unpaired, *second.unpaired))),
        run_keys=tuple(dict.fromkeys((*first.run_keys, *second.run_keys))),
    )


def mean_of_cell(observations: Iterable[Observation], cell: Part, metric: str) -> Contrast:
    """The metric in one cell, seed by seed, averaged over the axes that the cell does not name."""
    part = _as_part(cell)
    by_seed: dict[int, list[Observation]] = defaultdict(list)
    for observation in observations:
        if observation.within(part):
            by_seed[observation.seed].append(observation)
    means: dict[int, float] = {}
    missing: list[str] = []
    for seed in sorted(by_seed):
        values = {id(run): run.value(metric) for run in by_seed[seed]}
        missing += [_describe_gap(run, metric) for run in by_seed[seed] if values[id(run)] is None]
        known = [value for value in values.values() if value is not None]
        if len(known) == len(values):
            means[seed] = fmean(known)
    keys = (run.run_key for seed in means for run in by_seed[seed])
    return Contrast(by_seed=means, missing=tuple(missing), run_keys=tuple(key for key in keys if key))


@dataclass(frozen=True)
class Summary:
    """Mean, spread and number of one metric in one cell."""

    mean: float
    std: float | None
    """With n - 1; None for one value."""
    n: int


@dataclass(frozen=True)
class CellSummary:
    """What is recorded of one cell: its replicates' mean and spread, for each metric."""

    axes: Mapping[str, str]
    planned: int
    """Seeds that the plan holds."""
    n: int
    """Seeds that have finished."""
    metrics: Mapping[str, Summary]


def summarize_cells(observations: Iterable[Observation], metrics: Sequence[str] | None = None) -> list[CellSummary]:
    """One summary a cell, in the order of the plan. `metrics`: which ones; None for all that a run
    recorded."""
    cells: dict[_Context, list[Observation]] = defaultdict(list)
    for observation in observations:
        cells[tuple(observation.axes.items())].append(observation)
    return [_summarize(dict(axes), runs, metrics) for axes, runs in cells.items()]


def _summarize(axes: Cell, runs: Sequence[Observation], metrics: Sequence[str] | None) -> CellSummary:
    records = [run.record for run in runs if run.record is not None and run.record.metrics is not None]
    names = metrics if metrics is not None else sorted({name for record in records for name in record.metrics or ()})
    summaries: dict[str, Summary] = {}
    for name in names:
        values = [value for run in runs if (value := run.value(name)) is not None]
        if values:
            summaries[name] = Summary(fmean(values), inference.spread(values), len(values))
    finished = sum(run.record is not None and run.record.metrics is not None for run in runs)
    return CellSummary(axes, len(runs), finished, summaries)


def _as_part(part: Part | None) -> dict[str, tuple[str, ...]]:
    return {axis: (levels,) if isinstance(levels, str) else tuple(levels) for axis, levels in (part or {}).items()}


def _describe_gap(observation: Observation, metric: str) -> str:
    return f"{cell_label(observation.axes)}, seed {observation.seed}: {observation.lacks(metric)}"
