"""A run's directory: what is written there, by whom, and what may be believed of it. Free of torch.

    config.json     the resolved configuration, before anything else
    attempts.jsonl  one line for every process that took the run up
    metrics.jsonl   one line an epoch, as they come
    last.ckpt       everything needed to go on after the last finished epoch
    best-N.pt       weights of the epoch with the best validation accuracy, N from zero
    weights.pt      final weights
    failure.json    why the last attempt failed; gone as soon as the run is tried again
    pruned.json     why the run need not go on; gone as soon as it does
    result.json     final metrics and provenance, written at the very end: it alone makes a run finished
    lock            held by the process that trains; released by the kernel however that process ends
    heartbeat       signs of life of that process
    log.txt         what it printed
    away            only in a copy that is trained on another machine: the ledger's own directory tidies up

Only the process that holds the lock writes; a coordinator that gives a run up takes the lock to say so. Every file is
replaced in one step, or appended to by whole lines that a reader may find cut short: readers tolerate that. An epoch
is in the checkpoint before it is in the metrics, so that no reader ever sees an epoch that is taken back.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.failure import Failure
from bnnlab.experiment.files import append_line, read_json, replace_file, write_json
from bnnlab.experiment.heartbeat import Pulse, read_pulse
from bnnlab.experiment.holder import Holder, Process
from bnnlab.experiment.record import RunRecord, RunState

RESERVED_BYTES = 8192
LOCK_PATIENCE_S = 0.5
"""A reader that looks whether a lock is held holds it for an instant itself; a writer waits that out."""


class RunIsTaken(Exception):
    """Another process is training this run, or has finished it."""


class WrongDirectory(Exception):
    """The directory holds another configuration than its name says."""


@dataclass(frozen=True)
class Epoch:
    """One line of `metrics.jsonl`."""

    index: int
    """Zero-based."""
    time: float
    """Seconds since 1970 when the epoch ended."""
    seconds: float
    metrics: Mapping[str, float]

    @classmethod
    def from_json(cls, found: Any) -> Epoch:
        """Raises ValueError, KeyError or TypeError where `found` is no whole epoch."""
        metrics = {str(name): float(value) for name, value in dict(found["metrics"]).items()}
        return cls(int(found["epoch"]), float(found["time"]), float(found["seconds"]), metrics)

    def as_json(self) -> dict[str, Any]:
        return {"epoch": self.index, "time": self.time, "seconds": self.seconds, "metrics": dict(self.metrics)}


class RunDirectory:
    """One run on disk. Cheap to make; reads nothing until asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.attempts_file = path / "attempts.jsonl"
        self.metrics_file = path / "metrics.jsonl"
        self.checkpoint_file = path / "last.ckpt"
        self.weights_file = path / "weights.pt"
        self.failure_file = path / "failure.json"
        self.pruned_file = path / "pruned.json"
        self.result_file = path / "result.json"
        self.lock_file = path / "lock"
        self.heartbeat_file = path / "heartbeat"
        self.log_file = path / "log.txt"
        self.reserve_file = path / ".reserve"
        self.away_file = path / "away"

    @cached_property
    def run_key(self) -> str:
        return self.path.name

    def create(self, config: RunConfig) -> None:
        """Make the directory and state what is to be trained in it. Does nothing where that has been done.

        Raises WrongDirectory if another configuration is already there: results are never mixed.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.config_file.exists():
            found = read_json(self.config_file)
            if found is not None and found != config.model_dump(mode="json"):
                raise WrongDirectory(f"{self.config_file} is not the configuration of run {config.run_key}")
            if found is not None:
                return
        write_json(self.config_file, config.model_dump(mode="json"))

    def config(self) -> RunConfig:
        """The configuration. Raises FileNotFoundError or ValueError."""
        return RunConfig.model_validate_json(self.config_file.read_bytes())

    # -- what a reader may believe ---------------------------------------------------------------

    def state(self) -> RunState:
        """Where the run stands. Believes files and the lock, never an exit code."""
        if self.result() is not None:
            return RunState.FINISHED
        if self.is_locked():
            return RunState.RUNNING
        if self.result() is not None:  # its process may have finished it between the two looks above
            return RunState.FINISHED
        failure = self.failure()
        if failure is not None and failure.final:
            return RunState.FAILED
        if self.pruned() is not None:
            return RunState.PRUNED
        if self.metrics_file.exists() or self.checkpoint_file.exists():
            return RunState.INTERRUPTED
        return RunState.PENDING

    def result(self) -> dict[str, Any] | None:
        """The result, or None where there is none that can be believed."""
        found = read_json(self.result_file)
        if not isinstance(found, dict) or found.get("run_key") != self.run_key:
            return None
        return found if isinstance(found.get("metrics"), dict) else None

    def failure(self) -> Failure | None:
        """Why the last attempt failed; None also where that cannot be read: the run is then just tried again."""
        found = read_json(self.failure_file)
        with suppress(ValueError):
            return Failure.from_json(found) if isinstance(found, dict) else None
        return None

    def pruned(self) -> str | None:
        """Why the run need not go on; None where nothing says so."""
        found = read_json(self.pruned_file)
        return str(found.get("reason", "")) if isinstance(found, dict) else None

    def epochs(self) -> tuple[Epoch, ...]:
        """The finished epochs in order; a line that is cut short or out of order ends them."""
        epochs: list[Epoch] = []
        with suppress(OSError):
            for line in self.metrics_file.read_bytes().splitlines():
                try:
                    epoch = Epoch.from_json(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    break
                if epoch.index != len(epochs):
                    break
                epochs.append(epoch)
        return tuple(epochs)

    def attempts(self) -> int:
        """How many processes have taken this run up."""
        try:
            return self.attempts_file.read_bytes().count(b"\n")
        except OSError:
            return 0

    def holder(self) -> Holder | None:
        """The process that took the run up last; None where that cannot be read."""
        with suppress(OSError, ValueError, IndexError, AttributeError):
            found = json.loads(self.attempts_file.read_bytes().splitlines()[-1])
            process = Process.from_json(found.get("process"))
            return Holder(process, Process.from_json(found.get("coordinator"))) if process is not None else None
        return None

    def pulse(self) -> Pulse | None:
        """The last sign of life of the process that trains, or trained, the run."""
        return read_pulse(self.heartbeat_file)

    def log_tail(self, lines: int = 20) -> str:
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
                return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def record(self, config: RunConfig | None = None) -> RunRecord:
        """Everything that is remembered of the run. Raises ValueError where not even its configuration can be read."""
        try:
            config = config or self.config()
        except (OSError, ValidationError) as error:
            raise ValueError(f"{self.config_file} cannot be read: {error}") from None
        state = self.state()
        result = self.result() if state is RunState.FINISHED else None
        failure = self.failure() if state is RunState.FAILED else None
        return RunRecord(
            run_key=self.run_key,
            config=config,
            state=state,
            epochs=tuple(epoch.metrics for epoch in self.epochs()),
            metrics=result["metrics"] if result else None,
            cause=failure.cause if failure else None,
            provenance={k: str(v) for k, v in result.get("provenance", {}).items()} if result else None,
        )

    # -- the lock --------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run. Raises RunIsTaken where another process holds it, OSError where it cannot be written."""
        with self.lock_file.open("a") as lock:
            deadline = time.monotonic() + LOCK_PATIENCE_S
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise RunIsTaken(self.run_key) from None
                    time.sleep(0.02)
            yield

    def is_locked(self) -> bool:
        """Whether a living process holds the run."""
        try:
            with self.lock_file.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True

    # -- what the holder of the lock writes ------------------------------------------------------

    def add_attempt(self, facts: Mapping[str, Any]) -> None:
        append_line(self.attempts_file, json.dumps(facts))

    def add_epoch(self, epoch: Epoch) -> None:
        append_line(self.metrics_file, _epoch_line(epoch))

    def set_epochs(self, epochs: tuple[Epoch, ...]) -> None:
        """Make these all epochs that there are: what a run does first that is taken up again."""
        replace_file(self.metrics_file, "".join(f"{_epoch_line(epoch)}\n" for epoch in epochs).encode())

    def best_file(self, epoch: int) -> Path:
        """Where the weights of an epoch lie while it is the best one."""
        return self.path / f"best-{epoch}.pt"

    def best_files(self) -> list[Path]:
        """Every such file. There is more than one after a crash between two epochs that were each the best."""
        return [path for path in self.path.iterdir() if re.fullmatch(r"best-\d+\.pt", path.name)]

    def reserve_room(self) -> None:
        """Take the room now that a failure will need, should the disk be full by then."""
        replace_file(self.reserve_file, bytes(RESERVED_BYTES))

    def set_failure(self, failure: Failure) -> None:
        with suppress(OSError):
            self.reserve_file.unlink(missing_ok=True)
        try:
            write_json(self.failure_file, asdict(failure))
        except OSError:
            write_json(self.failure_file, asdict(replace(failure, log_tail="")))

    def set_pruned(self, reason: str) -> None:
        write_json(self.pruned_file, {"reason": reason, "epochs": len(self.epochs())})

    def set_result(self, metrics: Mapping[str, float], provenance: Mapping[str, Any]) -> None:
        """Make the run finished. Raises ValueError for a metric that is not a finite number."""
        odd = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if odd:
            raise ValueError(f"not finite: {odd}")
        result = {"run_key": self.run_key, "metrics": dict(metrics), "provenance": dict(provenance)}
        write_json(self.result_file, result, durable=True)
        self.tidy()

    def tidy(self) -> None:
        """Remove what a finished run needs no more, as far as that is possible.

        A copy keeps it: the last checkpoint has to arrive before the metrics that it covers.
        """
        if self.away_file.exists():
            return
        leftovers = (self.checkpoint_file, self.failure_file, self.pruned_file, self.heartbeat_file, self.reserve_file)
        for leftover in (*leftovers, *self.best_files()):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)

    def sweep_temporaries(self) -> None:
        """Remove the halves of files that earlier processes of this run were killed over."""
        for path in self.path.glob(".*"):
            if not path.name.startswith(".config.json."):  # coordinators write that one, without the lock
                path.unlink(missing_ok=True)


def _epoch_line(epoch: Epoch) -> str:
    return json.dumps(epoch.as_json(), allow_nan=False)
