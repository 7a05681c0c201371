"""What a node of a Ray cluster does: it trains one run after another, and tells the coordinator about it.

An agent is a Ray actor whose process trains nothing itself. Its runs are processes of their own, as on the
coordinator's machine, so that one that crashes leaves an agent that can say how, and the next run starts without
importing torch again. They end with their agent, and it ends with its node or with the coordinator.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bnnlab.experiment.execution import Execution
from bnnlab.sweep.executor import Exit
from bnnlab.sweep.local import LocalExecutor, LocalJob
from bnnlab.sweep.travel import Luggage, Outbox, Parcel, unpack


@dataclass(frozen=True)
class News:
    """What has come of a run since it was last asked about."""

    parcel: Parcel
    exit: Exit | None


@dataclass(frozen=True)
class Whereabouts:
    """The node on which an agent lives."""

    node_id: str
    address: str


class Agent:
    """One run at a time."""

    def __init__(self, scratch: str | None) -> None:
        self._scratch = scratch
        self._executor = LocalExecutor(1)
        self._job: LocalJob | None = None
        self._folder: Path | None = None
        self._outbox: Outbox | None = None

    def begin(self, run: Luggage | str, execution: str) -> Whereabouts:
        """Start a run: one that has travelled here, or one in a directory that this node can see. Raises OSError."""
        ray: Any = import_module("ray")
        self._clear()
        if isinstance(run, str):
            path = Path(run)
        else:
            if self._scratch is not None:
                Path(self._scratch).mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="bnnlab-", dir=self._scratch))
            directory = unpack(run, self._folder)
            self._outbox = Outbox(directory)
            path = directory.path
        self._job = self._executor.submit(path, Execution.model_validate_json(execution))
        return Whereabouts(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address())

    def news(self, patience_s: float) -> News:
        """What there is once the run has ended, or after `patience_s`."""
        assert self._job is not None, "no run was begun"
        if self._job.poll() is None:
            self._executor.wait(patience_s)
        exit_ = self._job.poll()
        parcel = self._outbox.changes(ended=exit_ is not None) if self._outbox is not None else Parcel()
        if exit_ is not None and self._outbox is not None:
            while log := self._outbox.changes(ended=True).log:
                parcel = Parcel(parcel.files, parcel.best, parcel.log + log)
            self._clear()
        return News(parcel, exit_)

    def cancel(self) -> None:
        """End the run at once; its end is news like any other."""
        if self._job is not None:
            self._job.cancel()

    def _clear(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = self._outbox = None
