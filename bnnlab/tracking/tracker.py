"""Watches a sweep and keeps MLflow up with it, in a thread of the coordinator: the store's one writer.

An MLflow that cannot be reached costs the sweep nothing: the ledger has it all, and the tracker tries again now and
then. What is still missing at the end, `bnnlab sync` brings.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable
from typing import IO

from bnnlab.sweep.events import Event, RunElsewhere, RunFailed, RunFinished, RunInterrupted, RunReused
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan, PlannedRun
from bnnlab.sweep.project import Project
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import open_client

EVERY_S = 2.0
"""How often MLflow is brought up to date while runs train."""
RETRY_S = 20.0
"""How long a store that failed is left alone."""


class Tracker:
    """An observer of a sweep. `close` brings MLflow up to date a last time."""

    def __init__(self, project: Project, ledger: Ledger, plan: Plan) -> None:
        self.project = project
        self.ledger = ledger
        self.plan = plan
        self.problem: str | None = None
        """Why MLflow is behind the ledger; None while it is not."""
        self._dirty: dict[str, tuple[PlannedRun, bool]] = {}
        self._projection: Projection | None = None
        self._claim: IO[str] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._keep_up, name="mlflow", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, event: Event) -> None:
        ended = isinstance(event, RunFinished | RunFailed | RunInterrupted | RunReused)
        if isinstance(event, RunElsewhere):
            return
        with self._lock:
            self._dirty[event.run.run_key] = (event.run, ended)

    def close(self, status: str, finish: Callable[[Projection], str]) -> None:
        """Bring everything over and close the parent with `status`.

        `finish` logs what belongs to the parent (report, tables) and gives its description.
        """
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._retry_at = 0.0
        self._bring_over()
        if self.problem is None and self._projection is not None:
            try:
                self._projection.close_parent(status, finish(self._projection))
            except Exception as error:
                self._give_up_for_now(error)
        if self._claim is not None:
            self._claim.close()

    # -- the thread ------------------------------------------------------------------------------

    def _keep_up(self) -> None:
        while not self._closing:
            self._bring_over()
            self._wake.wait(EVERY_S)

    def _bring_over(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        if not self._alone():
            return
        with self._lock:
            dirty, self._dirty = self._dirty, {}
        try:
            if self._projection is None:
                self._projection = Projection(open_client(self.project), self.project, self.ledger, self.plan)
                self._projection.open_parent()
            for key in list(dirty):
                run, ended = dirty[key]
                self._projection.bring(run, ended=ended)
                del dirty[key]
            self.problem = None
        except Exception as error:  # whatever MLflow, SQLAlchemy or the network raise
            self._give_up_for_now(error)
            with self._lock:
                self._dirty = dirty | self._dirty

    def _alone(self) -> bool:
        """Whether this process is the one that projects this plan. The other one, which shares its runs, ends no
        sooner than they do and brings them all over."""
        if self._claim is None:
            claim = self.ledger.plan_folder(self.plan.plan_id).joinpath("tracker.lock").open("a")
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                claim.close()
                return False
            self._claim = claim
        return True

    def _give_up_for_now(self, error: Exception) -> None:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        self.problem = lines[0]
        self._projection = None
        self._retry_at = time.monotonic() + RETRY_S
