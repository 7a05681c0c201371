"""A run's directory: what is written there, by whom, and what may be believed of it. Free of torch.

    config.json     the resolved configuration, before anything else
    attempts.jsonl  one line for every process that took the run up
    metrics.jsonl   one line an epoch, as they come
    last.ckpt       everything needed to go on after the last finished epoch
    best.pt         weights of the epoch with the best validation accuracy
    weights.pt      final weights
    failure.json    why the run failed; gone as soon as it is tried again
    pruned.json     why the run need not go on; gone as soon as it does
    result.json     final metrics and provenance, written at the very end: it alone makes a run finished
    lock            held by the process that trains; released by the kernel however that process ends
    log.txt         what the process printed

Only the process that holds the lock writes, but for `failure.json` of a process that died without a word and
`pruned.json`, which the coordinator writes. Every file is replaced in one step, or appended to by whole lines that
a reader may find cut short: readers tolerate that.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunRecord, RunState

LOCK_PATIENCE_S = 5.0
"""A reader that looks whether a lock is held holds it for an instant itself; a writer waits that out."""


class RunIsTaken(Exception):
    """Another process is training this run."""


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


@dataclass(frozen=True)
class Failure:
    """Why a run failed."""

    kind: str
    """"diverged", "out_of_memory", "disk_full", "data", "exception" or "died"."""
    cause: str
    """One sentence for a person."""
    log_tail: str = ""
    attempts: int = 1


class RunDirectory:
    """One run on disk. Cheap to make; reads nothing until asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.attempts_file = path / "attempts.jsonl"
        self.metrics_file = path / "metrics.jsonl"
        self.checkpoint_file = path / "last.ckpt"
        self.best_file = path / "best.pt"
        self.weights_file = path / "weights.pt"
        self.failure_file = path / "failure.json"
        self.pruned_file = path / "pruned.json"
        self.result_file = path / "result.json"
        self.lock_file = path / "lock"
        self.log_file = path / "log.txt"

    @cached_property
    def run_key(self) -> str:
        return self.path.name

    def create(self, config: RunConfig) -> None:
        """Make the directory and state what is to be trained in it. Does nothing where that has been done.

        Raises WrongDirectory if another configuration is already there: results are never mixed.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if self.config_file.exists():
            found = _read_json(self.config_file)
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
        if self.failure() is not None:
            return RunState.FAILED
        if self.pruned() is not None:
            return RunState.PRUNED
        if self.metrics_file.exists() or self.checkpoint_file.exists():
            return RunState.INTERRUPTED
        return RunState.PENDING

    def result(self) -> dict[str, Any] | None:
        """The result, or None where there is none that can be believed."""
        found = _read_json(self.result_file)
        if not isinstance(found, dict) or found.get("run_key") != self.run_key:
            return None
        return found if isinstance(found.get("metrics"), dict) else None

    def failure(self) -> Failure | None:
        found = _read_json(self.failure_file)
        try:
            return Failure(**found) if isinstance(found, dict) else None
        except TypeError:
            return Failure("exception", f"{self.failure_file.name} cannot be read")

    def pruned(self) -> str | None:
        """Why the run need not go on."""
        found = _read_json(self.pruned_file)
        return str(found.get("reason", "")) if isinstance(found, dict) else None

    def epochs(self) -> tuple[Epoch, ...]:
        """The finished epochs in order; a line that is cut short or out of order ends them."""
        epochs: list[Epoch] = []
        with suppress(OSError):
            for line in self.metrics_file.read_bytes().splitlines():
                try:
                    found = json.loads(line)
                    epoch = Epoch(found["epoch"], found["time"], found["seconds"], found["metrics"])
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
            cause=failure.cause if failure else self.pruned() if state is RunState.PRUNED else None,
            provenance={k: str(v) for k, v in result.get("provenance", {}).items()} if result else None,
        )

    # -- the lock --------------------------------------------------------------------------------

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run. Raises RunIsTaken where another process holds it."""
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
        with self.attempts_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts) + "\n")

    def add_epoch(self, epoch: Epoch) -> None:
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(_epoch_line(epoch))

    def set_epochs(self, epochs: tuple[Epoch, ...]) -> None:
        """Forget every epoch but these: what a resumed run does first."""
        replace_file(self.metrics_file, "".join(_epoch_line(epoch) for epoch in epochs).encode())

    def set_failure(self, failure: Failure) -> None:
        write_json(self.failure_file, vars(failure))

    def set_pruned(self, reason: str) -> None:
        write_json(self.pruned_file, {"reason": reason, "epochs": len(self.epochs())})

    def set_result(self, metrics: Mapping[str, float], provenance: Mapping[str, Any]) -> None:
        """Make the run finished. Raises ValueError for a metric that is not a finite number."""
        odd = {name: value for name, value in metrics.items() if not math.isfinite(value)}
        if odd:
            raise ValueError(f"not finite: {odd}")
        result = {"run_key": self.run_key, "metrics": dict(metrics), "provenance": dict(provenance)}
        write_json(self.result_file, result, durable=True)
        for leftover in (self.checkpoint_file, self.best_file, self.failure_file, self.pruned_file):
            leftover.unlink(missing_ok=True)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write in one step: a reader finds the old file or the new one."""
    replace_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode(), durable=durable)


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Put `content` at `path` in one step; `durable` also survives the loss of power."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _epoch_line(epoch: Epoch) -> str:
    fields = {"epoch": epoch.index, "time": epoch.time, "seconds": epoch.seconds, "metrics": dict(epoch.metrics)}
    return json.dumps(fields, allow_nan=False) + "\n"


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
