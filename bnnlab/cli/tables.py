"""Tables of plans and sweeps for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

from bnnlab.experiment.record import RunState

if TYPE_CHECKING:
    from bnnlab.sweep.plan import Plan, PlannedRun
    from bnnlab.sweep.standing import Standing

SHOWN_RUNS = 200
"""Rows of a table of runs, if it is not asked for all of them."""
LOOK_FIRST = (RunState.FAILED, RunState.RUNNING, RunState.INTERRUPTED)
COLOURS = {"finished": "green", "failed": "red", "running": "cyan", "interrupted": "yellow", "pruned": "magenta"}


def plan_table(plan: Plan, states: Mapping[str, str]) -> None:
    """A row a run: axes, seed, run key, state; then how many of each state."""
    table = new_table(f"{plan.study}, profile {plan.profile}")
    for name in plan.axes:
        table.add_column(name)
    table.add_column("seed", justify="right")
    table.add_column("run key")
    table.add_column("state")
    shown = plan.all_runs[:SHOWN_RUNS]
    for run in shown:
        state = states[run.run_key]
        table.add_row(*_levels(plan, run), str(run.seed), run.run_key, coloured(state))
    console = Console()
    console.print(table)
    _say_more(console, len(plan.all_runs) - len(shown))
    counts = _counts(Counter(states.values()))
    console.print(f"{len(plan.all_runs)} runs: {counts}.  plan {plan.plan_id}", highlight=False)


def status_table(plan: Plan, standings: Mapping[str, Standing], counts: Mapping[str, int]) -> None:
    """A row a run: axes, seed, state, epoch, accuracy, and why it failed."""
    table = new_table(f"{plan.study}, profile {plan.profile}")
    for name in plan.axes:
        table.add_column(name)
    table.add_column("seed", justify="right")
    table.add_column("state")
    table.add_column("epoch", justify="right")
    table.add_column("val top-1 %", justify="right")
    table.add_column("test top-1 %", justify="right")
    table.add_column("cause", overflow="fold")
    shown = _what_needs_a_look(plan, standings)
    for run in shown:
        standing = standings[run.run_key]
        table.add_row(
            *_levels(plan, run),
            str(run.seed),
            coloured(standing.state.value),
            f"{standing.epochs}/{run.config.training.epochs}",
            per_cent((standing.last or {}).get("val/top1")),
            per_cent((standing.metrics or {}).get("test/top1")),
            standing.cause or "",
        )
    console = Console()
    console.print(table)
    _say_more(console, len(plan.all_runs) - len(shown))
    console.print(f"{len(plan.all_runs)} runs: {_counts(counts)}.", highlight=False)


def _what_needs_a_look(plan: Plan, standings: Mapping[str, Standing]) -> Sequence[PlannedRun]:
    """All runs of a plan, or of a large one so many that failed, run or were interrupted, and then of the others."""
    if len(plan.all_runs) <= SHOWN_RUNS:
        return plan.all_runs
    order = [*LOOK_FIRST, *(state for state in RunState if state not in LOOK_FIRST)]
    return sorted(plan.all_runs, key=lambda run: order.index(standings[run.run_key].state))[:SHOWN_RUNS]


def _say_more(console: Console, more: int) -> None:
    if more > 0:
        console.print(f"… and {more:,} more runs; `--json` has them all", highlight=False)


def per_cent(fraction: float | None, digits: int = 1) -> str:
    """An accuracy as it is shown; a dash where there is none."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f}"


def new_table(title: str) -> Table:
    """An empty table in the house style."""
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)


def _levels(plan: Plan, run: PlannedRun) -> list[str]:
    return [run.axes.get(name, "–") for name in plan.axes]


def coloured(state: str) -> str:
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/{colour}]" if colour else state


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in sorted(counts))
