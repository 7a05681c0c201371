"""The trials of a search: the best ones with what to do next, and all of them with what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bnnlab.paper.metrics import describe_metric
from bnnlab.report import numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Cell, Column, Line, Section, Table, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search import NO_SEARCH, NOT_YET, short

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults, TrialResult

BESIDE = ("test/top1", "model/size_mib")
"""Shown beside the objectives where they are none themselves."""
WITHOUT_RESULT = {
    "pruned": "ended early by the pruner",
    "diverged": "whose training diverged",
    "refused": "refused for a constraint, without training",
    "same": "that repeated an earlier trial, without training",
    "impossible": "whose values make no network, without training",
    "failed": "that failed",
    "running": "still running",
    "waiting": "waiting",
}


class BestTrials(Panel):
    """What to train again."""

    panel: Literal["best_trials"] = "best_trials"

    def build(self, analysis: Analysis) -> Section:
        """The front, or the best few, then the trials that were given first; each with its command."""
        search = analysis.study.search
        title = self.title or "The best trials"
        if search is None:
            return Section(title, (NO_SEARCH,))
        named = [trial for trial in search.trials if trial.name and trial not in search.best]
        if not search.best and not named:
            return Section(title, (NOT_YET,))
        metrics = _metrics(search)
        seeds = "Of seed" if len(search.seeds) == 1 else "Means over seeds"
        chosen = "on the front" if len(search.objectives) > 1 else "with the best values"
        commands = analysis.study.commands
        table = Table(
            "best_trials",
            f"{seeds} {', '.join(map(str, search.seeds))}. The trials {chosen}, then the others that were given first. "
            "Accuracies are those of the last epoch unless they say best.",
            (
                Column("trial"),
                Column("standing"),
                *(Column(short(metric), "right") for metric in metrics),
                Column("parameters"),
                Column("trains it again"),
            ),
            tuple(
                Line(
                    (
                        Cell(f"{trial.number}" + (f", {trial.name}" if trial.name else ""), float(trial.number)),
                        Cell(_standing(search, trial), tone="" if trial.state == "completed" else trial.state),
                        *(_value(trial, metric) for metric in metrics),
                        Cell(trial.summary),
                        Cell(commands.get(trial.number, "–")),
                    ),
                    trial.run_keys,
                )
                for trial in (*search.best, *named)
            ),
        )
        warning = Text(
            f"A search keeps what came out well on {numbers.plural(len(search.seeds), 'seed')}, luck included: train "
            "the best again under more seeds before you believe a number.",
            "warning",
        )
        return Section(title, (table, warning))


class Trials(Panel):
    """Every trial."""

    panel: Literal["trials"] = "trials"

    def build(self, analysis: Analysis) -> Section:
        """A line a trial, in the order in which they were proposed, and how many came to nothing."""
        search = analysis.study.search
        title = self.title or "Trials"
        if search is None:
            return Section(title, (NO_SEARCH,))
        metrics = _metrics(search)
        table = Table(
            "trials",
            f"Every trial of search {search.search_id}; its number is that in Optuna's journal.",
            (
                Column("trial", "right"),
                Column("state"),
                *(Column(short(metric), "right") for metric in metrics),
                Column("parameters"),
                Column("why it ended"),
            ),
            tuple(_trial_line(analysis, trial, metrics) for trial in search.trials),
            is_long=True,
        )
        blocks: list[Block] = [Text(_told(search)), table]
        return Section(title, tuple(blocks))


def _trial_line(analysis: Analysis, trial: TrialResult, metrics: tuple[str, ...]) -> Line:
    link = next((analysis.study.links[key] for key in trial.run_keys if key in analysis.study.links), None)
    what = f"{trial.name}: {trial.summary}" if trial.name else trial.summary
    return Line(
        (
            Cell(str(trial.number), float(trial.number), href=link),
            Cell(trial.state, tone=trial.state),
            *(_value(trial, metric) for metric in metrics),
            Cell(what),
            Cell(trial.why),
        ),
        trial.run_keys,
    )


def _metrics(search: SearchResults) -> tuple[str, ...]:
    objectives = [objective.metric for objective in search.objectives]
    recorded = {name for trial in search.trials for name in trial.metrics}
    return tuple(dict.fromkeys([*objectives, *(name for name in BESIDE if name in recorded)]))


def _value(trial: TrialResult, metric: str) -> Cell:
    value = trial.value(metric)
    if metric == "model/size_mib" and value is not None and value < 1:
        return Cell(f"{value:.3f} MiB", value)  # networks for small images differ in the third decimal
    return numbers.value(describe_metric(metric), value)


def _standing(search: SearchResults, trial: TrialResult) -> str:
    if trial.state != "completed":
        return f"{trial.state}: {trial.why}" if trial.why else trial.state
    if not trial.is_feasible:
        return "breaks " + ", ".join(text for text, excess in trial.constraints.items() if excess > 0)
    if trial.number in search.front:
        return "on the front" if len(search.objectives) > 1 else "best"
    beaten = search.beaten_by(trial)
    return f"beaten by trial {', '.join(map(str, beaten))}" if beaten else "as good as the best"


def _told(search: SearchResults) -> str:
    counts = search.counts()
    told = [f"{counts[state]} {what}" for state, what in WITHOUT_RESULT.items() if state in counts]
    done = counts.get("completed", 0)
    text = f"{numbers.plural(len(search.trials), 'trial')}: {done} of {search.budget} completed"
    return "; ".join([text, *told]) + ". Only completed trials count towards the budget."
