"""Where many runs stand, at the price of one file: what the ledger has read of finished runs once, it need not read
again. The run directories stay the truth; an entry counts only while the file that it was read from is the same."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.files import read_json, write_json
from bnnlab.experiment.record import RunState
from bnnlab.sweep.workload import workload_of

INDEX = ".index.json"
VERSION = 2
WORTH_SAVING = 64
"""So many runs are read from their directories in the blink of an eye; more are worth writing the index again."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, in a line."""

    state: RunState
    epochs: int = 0
    """How many are finished."""
    last: Mapping[str, float] | None = None
    """Metrics of the last of them."""
    metrics: Mapping[str, float] | None = None
    """Final metrics; None unless the state is FINISHED."""
    provenance: Mapping[str, Any] | None = None
    """Which code trained it, when, where; None unless the state is FINISHED."""
    cause: str | None = None
    """Why it failed; None unless the state is FAILED."""
    workload: str = ""
    """What it shares with runs that take as long (`workload_of`); "" unless the state is FINISHED."""
    size: int = 0
    """Bytes of its directory; 0 unless the state is FINISHED."""
    stamp: tuple[int, ...] = ()
    """Names this very result file; () unless the state is FINISHED."""


PENDING = Standing(RunState.PENDING)


class Standings:
    """The standings of a ledger's runs, with an index of the finished ones beside them.

    The index is replaced in one step and holds nothing that the run directories do not: to delete it, to lose a race
    for it or to be unable to write it costs time, never a result.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._finished: dict[str, Standing] | None = None
        self._lock = threading.Lock()
        self._unsaved = 0

    def of(self, run_keys: Iterable[str]) -> dict[str, Standing]:
        """Where each of these runs stands, by key, in their order."""
        with self._lock:
            if self._finished is None:
                self._finished = _read_index(self.root / INDEX)
            found = {key: self._look(key, self._finished) for key in run_keys}
            self._save(self._finished)
        return found

    def _look(self, key: str, finished: dict[str, Standing]) -> Standing:
        known = finished.get(key)
        stamp = _stamp(f"{self.root}/{key}/result.json")
        if known is not None and known.stamp == stamp:
            return known
        if not stamp and not _stamp(f"{self.root}/{key}"):
            return PENDING
        standing = _read_directory(RunDirectory(self.root / key), stamp)
        if standing.stamp:
            finished[key] = standing
            self._unsaved += 1
        else:
            finished.pop(key, None)
        return standing

    def _save(self, finished: dict[str, Standing]) -> None:
        if self._unsaved < max(WORTH_SAVING, len(finished) // 20):
            return
        self._unsaved = 0
        runs = {
            key: [run.stamp, run.epochs, run.last, run.metrics, run.provenance, run.workload, run.size]
            for key, run in finished.items()
        }
        with suppress(OSError):  # a ledger that may only be read, or a full disk: the next look takes as long again
            write_json(self.root / INDEX, {"version": VERSION, "runs": runs}, indent=None)


def _read_directory(directory: RunDirectory, stamp: tuple[int, ...]) -> Standing:
    result = directory.result() if stamp else None
    state = RunState.FINISHED if result is not None else directory.state()
    if state is RunState.PENDING:
        return PENDING
    epochs = directory.epochs()
    last = epochs[-1].metrics if epochs else None
    if state is not RunState.FINISHED:
        failure = directory.failure() if state is RunState.FAILED else None
        return Standing(state, len(epochs), last, cause=failure.cause if failure else None)
    result = result or directory.result() or {}  # it may have been finished since we looked: then without a stamp
    return Standing(
        state,
        len(epochs),
        last,
        result.get("metrics"),
        result.get("provenance"),
        workload=_workload(directory),
        size=_size(directory.path),
        stamp=stamp if result else (),
    )


def _workload(directory: RunDirectory) -> str:
    try:
        return workload_of(read_json(directory.config_file))
    except (KeyError, TypeError, AttributeError):
        return ""


def _size(path: Path) -> int:
    with suppress(OSError), os.scandir(path) as entries:
        return sum(entry.stat().st_size for entry in entries)
    return 0


def _read_index(path: Path) -> dict[str, Standing]:
    found = read_json(path)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        return {}
    try:
        return {
            key: Standing(
                RunState.FINISHED, epochs, last, metrics, provenance, workload=workload, size=size, stamp=tuple(stamp)
            )
            for key, (stamp, epochs, last, metrics, provenance, workload, size) in found["runs"].items()
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _stamp(path: str) -> tuple[int, ...]:
    """Names a file as it is now: a file that replaces it has another number, time or size. () where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 a Path for each of ten thousand files takes longer than the call
    except OSError:
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_size)
