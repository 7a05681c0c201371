"""A sweep's progress on the terminal: what runs, what is done, how long it will take."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bnnlab.cli.output import duration, say
from bnnlab.cli.tables import per_cent
from bnnlab.experiment.execution import cores
from bnnlab.sweep.events import (
    EpochFinished,
    Event,
    RunDied,
    RunElsewhere,
    RunFailed,
    RunFinished,
    RunInterrupted,
    RunPruned,
    RunReused,
    RunStarted,
)
from bnnlab.sweep.ledger import SavedPlan
from bnnlab.sweep.plan import Plan, PlannedRun

SHOWN = 16
"""Running runs that are shown at once."""


class Progress:
    """An observer that draws. On a terminal a live view; elsewhere a line a run."""

    def __init__(self, plan: Plan | SavedPlan, *, workers: int | None = None) -> None:
        self.workers = workers or cores()
        self.total = len(plan.all_runs)
        self.epochs_total = sum(run.config.training.epochs for run in plan.all_runs)
        self.done = 0
        self.failed = 0
        self.running: dict[str, tuple[PlannedRun, int, float | None]] = {}
        self.elsewhere = 0
        self._epochs_before = 0
        self._epochs_now = 0
        self._epoch_seconds = 0.0
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(get_renderable=self._draw, console=Console(stderr=True), refresh_per_second=4)

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, event: Event) -> None:
        key, run = event.run.run_key, event.run
        match event:
            case RunStarted():
                self.running[key] = (run, event.epoch, None)
                self._epochs_before += event.epoch
            case EpochFinished():
                self.running[key] = (run, event.epoch.index + 1, event.epoch.metrics.get("val/top1"))
                self._epochs_now += 1
                self._epoch_seconds += event.epoch.seconds
            case RunReused():
                self.done += 1
                self._epochs_before += run.config.training.epochs
            case RunFinished():
                _, _, accuracy = self.running.pop(key, (run, 0, None))
                self.done += 1
                self._line(f"finished  {run.label}  val top-1 {per_cent(accuracy)} %")
            case RunFailed():
                self.running.pop(key, None)
                self.failed += 1
                self._epochs_before += run.config.training.epochs
                self._line(f"failed{' before' if event.earlier else ''}  {run.label}: {event.failure.cause}")
            case RunDied():
                self.running.pop(key, None)
                self._line(f"taken up again  {run.label}: {event.reason}")
            case RunElsewhere():
                self.running.pop(key, None)
                self._line(f"another sweep trains  {run.label}; waiting for it")
            case RunPruned():
                self.running.pop(key, None)
                self._line(f"pruned  {run.label}: {event.reason}")
            case RunInterrupted():
                self.running.pop(key, None)

    def _line(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            say(f"[{self.done + self.failed}/{self.total}] {text}")

    def time_left(self) -> float | None:
        """Seconds, from the epochs so far; None before the first."""
        if not self._epochs_now:
            return None
        left = max(0, self.epochs_total - self._epochs_before - self._epochs_now)
        return left * self._epoch_seconds / self._epochs_now / self.workers

    def _draw(self) -> Group:
        left = self.time_left()
        head = Text(f"{self.done} of {self.total} runs done, {len(self.running)} running, {self.failed} failed")
        head.append("" if left is None else f", {duration(left)} left")
        bar = ProgressBar(total=max(1, self.total), completed=self.done + self.failed, width=60)
        table = Table.grid(padding=(0, 2))
        for run, epoch, accuracy in list(self.running.values())[:SHOWN]:
            table.add_row(
                f"  {run.label}", f"epoch {epoch}/{run.config.training.epochs}", f"val top-1 {per_cent(accuracy)} %"
            )
        return Group(head, bar, table)
