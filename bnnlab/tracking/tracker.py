"""Watches a sweep and keeps MLflow up with it, in a thread of the coordinator: the store's one writer.

An MLflow that cannot be reached costs the sweep nothing: the ledger has it all, and the tracker tries again now and
then. What is still missing at the end, `bnnlab sync` brings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from bnnlab.experiment.failure import Failure
from bnnlab.sweep.events import Event, RunElsewhere, RunFailed
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.plan import Plan, PlannedRun
from bnnlab.sweep.project import Project
from bnnlab.tracking.claim import PlanIsKept, claim
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.stale import close_stale_plans
from bnnlab.tracking.store import open_client, reason
from bnnlab.tracking.sync import parent_status

EVERY_S = 2.0
"""How often MLflow is brought up to date while runs train."""
RETRY_S = 20.0
"""How long a store that failed is left alone."""


class Tracker:
    """An observer of a sweep. `close` brings MLflow up to date a last time."""

    def __init__(self, project: Project, ledger: Ledger, plan: Plan | SavedPlan) -> None:
        self.project = project
        self.ledger = ledger
        self.plan = plan
        self.problem: str | None = None
        """Why MLflow is behind the ledger; None while it is not."""
        self.complete = False
        """Whether MLflow has all of the plan as the ledger has it; known after `close`. Where another sweep of this
        plan goes on, it is that one which brings the rest."""
        self._changed: dict[str, PlannedRun] = {}
        self._failures: dict[str, Failure] = {}
        self._projection: Projection | None = None
        self._claim: IO[str] | None = None
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._keep_up, name="mlflow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, event: Event) -> None:
        if isinstance(event, RunElsewhere):
            return
        with self._lock:
            self._changed[event.run.run_key] = event.run
            if isinstance(event, RunFailed):
                self._failures[event.run.run_key] = event.failure
            else:
                self._failures.pop(event.run.run_key, None)

    def close(self, finish: Callable[[Projection], str]) -> None:
        """Bring everything over and close the parent.

        `finish` logs what belongs to the parent (report, tables) and gives its description.
        """
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._retry_at = 0.0
        # All runs of the plan, not only those that this sweep heard of: an earlier one may have been killed before
        # it could close what it had opened.
        with self._lock:
            self._changed = {run.run_key: run for run in self.plan.all_runs}
        self._bring_over()
        try:
            if self._projection is not None and self.problem is None:
                states = [
                    found.state for found in self.ledger.standings(r.run_key for r in self.plan.all_runs).values()
                ]
                note = finish(self._projection)
                self._projection.close_parent(parent_status(states, failed=bool(self._failures)), note)
                self.complete = True
        except Exception as error:
            self._give_up_for_now(error)
        finally:
            if self._claim is not None:
                self._claim.close()

    # -- the thread ------------------------------------------------------------------------------

    def _keep_up(self) -> None:
        while not self._closing.is_set():
            self._bring_over()
            self._closing.wait(EVERY_S)

    def _bring_over(self) -> None:
        if time.monotonic() < self._retry_at or not self._alone():
            return
        with self._lock:
            changed, self._changed = self._changed, {}
            failures = dict(self._failures)
        try:
            if self._projection is None:
                self._projection = Projection(open_client(self.project), self.project, self.ledger, self.plan)
                self._projection.open_parent()
                with suppress(Exception):  # what MLflow refuses here it refuses below, where that is told
                    close_stale_plans(self._projection)
            for key in list(changed):
                self._projection.bring(changed[key], failures.get(key))
                del changed[key]
            self.problem = None
        except Exception as error:  # whatever MLflow, SQLAlchemy or the network raise
            self._give_up_for_now(error)
            with self._lock:
                self._changed = changed | self._changed

    def _alone(self) -> bool:
        """Whether this process is the one that projects this plan. Where another one does, its end is waited for."""
        if self._claim is None:
            try:
                self._claim = claim(self.ledger.plan_folder(self.plan.plan_id))
            except (PlanIsKept, OSError):
                return False
        return True

    def _give_up_for_now(self, error: Exception) -> None:
        self.problem = reason(error)
        self._projection = None
        self._retry_at = time.monotonic() + RETRY_S
