"""What a plan would still cost in time and disk, by what finished runs and pilots of the same work took."""

from __future__ import annotations

import heapq
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bnnlab.experiment.record import RunState
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.samples import Sample
from bnnlab.sweep.standing import Standing
from bnnlab.sweep.workload import workload_of

COPIES_WHILE_TRAINING = 4
"""The checkpoint holds the weights and two moments of the optimizer, and the best epoch's weights lie beside it."""


@dataclass(frozen=True)
class Estimate:
    """What is to come, for the runs of which something is known."""

    runs: int
    """To be trained."""
    known: int
    """Of these, whose work has been measured."""
    slots: int
    seconds: float
    """Until the last of the known runs is done, with the median of the samples."""
    low_s: float
    high_s: float
    """The same with the fastest and with the slowest sample of each."""
    bytes_kept: int
    bytes_at_most: int
    """While the sweep runs, with a checkpoint for each slot."""
    finished_runs: int
    pilots: int
    """Samples that it comes from."""
    hosts: tuple[str, ...]
    """The machines on which they were taken."""
    unknown: tuple[PlannedRun, ...]
    """One run of each kind of work that nothing is known of."""


def estimate(
    runs: Sequence[PlannedRun], standings: Mapping[str, Standing], samples: Mapping[str, Sequence[Sample]], slots: int
) -> Estimate:
    """The cost of the runs that are not finished, `slots` at a time in their order.

    Samples of this machine go before those of others.
    """
    here = socket.gethostname()
    by_cell: dict[str, str] = {}
    used: dict[str, Sequence[Sample]] = {}
    unknown: dict[str, PlannedRun] = {}
    seconds: tuple[list[float], list[float], list[float]] = ([], [], [])
    count = kept = largest = 0
    for run in runs:
        standing = standings[run.run_key]
        if standing.state is RunState.FINISHED:
            continue
        count += 1
        if run.cell not in by_cell:
            by_cell[run.cell] = workload_of(run.config.as_json())
        workload = by_cell[run.cell]
        if workload not in samples:
            unknown.setdefault(workload, run)
            continue
        if workload not in used:
            used[workload] = [s for s in samples[workload] if s.host == here] or samples[workload]
        epochs = run.config.training.epochs - standing.epochs
        epoch_s = sorted(sample.epoch_s for sample in used[workload])
        setup_s = median(sample.setup_s for sample in used[workload])
        for times, each in zip(seconds, (epoch_s[0], median(epoch_s), epoch_s[-1]), strict=True):
            times.append(setup_s + epochs * each)
        size = round(median(sample.size for sample in used[workload]))
        kept += size
        largest = max(largest, size)
    low, middle, high = (_makespan(times, slots) for times in seconds)
    taken = [sample for found in used.values() for sample in found]
    return Estimate(
        runs=count,
        known=len(seconds[1]),
        slots=slots,
        seconds=middle,
        low_s=low,
        high_s=high,
        bytes_kept=kept,
        bytes_at_most=kept + min(slots, len(seconds[1])) * COPIES_WHILE_TRAINING * largest,
        finished_runs=sum(not sample.is_pilot for sample in taken),
        pilots=sum(sample.is_pilot for sample in taken),
        hosts=tuple(sorted({sample.host for sample in taken})),
        unknown=tuple(unknown.values()),
    )


def _makespan(seconds: Sequence[float], slots: int) -> float:
    """When the last of these is done, if each starts as soon as one of `slots` is free."""
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)
