"""A run directory that travels: to a machine that shares no disk with the ledger, and back while the run goes on.

The worker trains in a copy. What it writes there comes back in parcels, and the coordinator, which holds the run's lock
in the ledger, writes them down in the order that `experiment/directory.py` promises: the weights of the best epoch, the
checkpoint that names it, the metrics that the checkpoint covers, and the result last of all. To write in that order a
reader has to look in the opposite one: what it saw first is then covered by what it read after. A coordinator killed
between any two files leaves a state that was whole, and so does a machine that is lost at any time.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.files import replace_file

STEADY_TRIES = 5
LOG_BYTES = 1 << 20
"""Of a log, in one parcel: the rest comes with the next ones."""
Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Parcel:
    """Files of a run directory that have changed."""

    files: tuple[tuple[str, bytes], ...] = ()
    """Names and contents, in the order in which they have to be written."""
    best: tuple[str, ...] | None = None
    """Weights of best epochs that are still needed once the files are there; None: as before."""
    log: bytes = b""
    """What the log has grown by."""

    def __bool__(self) -> bool:
        return bool(self.files or self.log) or self.best is not None


@dataclass(frozen=True)
class Luggage:
    """What a run needs to start, or to go on, in another place."""

    run_key: str
    files: tuple[tuple[str, bytes], ...]
    start: tuple[str, bytes] | None = None
    """Key and final weights of the run that this one starts from."""


def pack(directory: RunDirectory) -> Luggage:
    """Everything that a worker needs of a directory whose lock the caller holds. Raises OSError."""
    config = RunConfig.model_validate_json(directory.config_file.read_bytes())
    paths = (
        directory.config_file,
        directory.attempts_file,
        directory.metrics_file,
        directory.checkpoint_file,
        *directory.best_files(),
    )
    start = None
    if config.training.init_from is not None:
        key = config.training.init_from.run_key
        with suppress(FileNotFoundError):  # the worker says so, in the words of a run that trains here
            start = key, (directory.path.parent / key / directory.weights_file.name).read_bytes()
    return Luggage(directory.run_key, tuple((path.name, path.read_bytes()) for path in paths if path.exists()), start)


def unpack(luggage: Luggage, folder: Path) -> RunDirectory:
    """A run directory in `folder`. Raises OSError."""
    if luggage.start is not None:
        key, weights = luggage.start
        path = folder / key
        path.mkdir(parents=True, exist_ok=True)
        replace_file(path / RunDirectory(path).weights_file.name, weights)
    directory = RunDirectory(folder / luggage.run_key)
    directory.path.mkdir(parents=True, exist_ok=True)
    for name, content in luggage.files:
        replace_file(directory.path / name, content)
    directory.away_file.touch()
    return directory


class Outbox:
    """What a worker has changed in its copy since it was last asked; safe while that worker writes."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._sent = {path.name: _stamp(path) for path in directory.path.iterdir()}
        self._best = tuple(sorted(path.name for path in directory.best_files()))
        self._logged = 0

    def changes(self, *, ended: bool = False) -> Parcel:
        """A parcel; `ended` once the worker is gone: then also what it said last."""
        directory = self.directory
        before = dict(self._sent)
        metrics = self._changed(directory.metrics_file)
        state = self._state()
        if state is None:  # a checkpoint after the other: these metrics may be ahead of what could be read
            self._sent = before
            return Parcel(tuple(self._changed(directory.heartbeat_file)), log=self._log())
        files, best = state
        files += self._changed(directory.attempts_file) + metrics + self._changed(directory.heartbeat_file)
        if ended:
            for path in (directory.weights_file, directory.failure_file, directory.result_file):
                files += self._changed(path)
        kept = None if best == self._best else best
        self._best = best
        return Parcel(tuple(files), kept, self._log())

    def _state(self) -> tuple[list[tuple[str, bytes]], tuple[str, ...]] | None:
        """The checkpoint with the best weights that it names, as one; None where it would not hold still."""
        checkpoint = self.directory.checkpoint_file
        before = dict(self._sent)
        for _ in range(STEADY_TRIES):
            stamp = _stamp(checkpoint)
            best = self.directory.best_files()
            files = [found for path in sorted(best) for found in self._changed(path)]
            files += self._changed(checkpoint)
            # The best weights of a checkpoint are there before it, and go only after the next one is.
            if _stamp(checkpoint) == stamp:
                return files, tuple(sorted(path.name for path in best))
            self._sent = dict(before)
        return None

    def _changed(self, path: Path) -> list[tuple[str, bytes]]:
        stamp = _stamp(path)
        if stamp is None or self._sent.get(path.name) == stamp:
            return []
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return []
        self._sent[path.name] = stamp
        return [(path.name, content)]

    def _log(self) -> bytes:
        try:
            with self.directory.log_file.open("rb") as log:
                log.seek(self._logged)
                grown = log.read(LOG_BYTES)
        except OSError:
            return b""
        self._logged += len(grown)
        return grown


@dataclass
class Inbox:
    """Writes parcels into the ledger, and holds the run's lock there until `close`.

    Raises RunIsTaken where another process trains the run, OSError where the ledger cannot be written.
    """

    directory: RunDirectory
    _held: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self._held.enter_context(self.directory.locked())
        try:
            # As a worker on this machine begins: what was said of the attempt before is no longer so.
            self.directory.failure_file.unlink(missing_ok=True)
            self.directory.pruned_file.unlink(missing_ok=True)
            self.directory.sweep_temporaries()
            self.directory.reserve_room()
        except BaseException:
            self._held.close()
            raise

    def receive(self, parcel: Parcel) -> None:
        """Raises OSError."""
        directory = self.directory
        if parcel.log:
            with directory.log_file.open("ab") as log:
                log.write(parcel.log)
        lasting = {directory.weights_file.name, directory.result_file.name}
        for name, content in parcel.files:
            replace_file(directory.path / name, content, durable=name in lasting)
            if name == directory.result_file.name:
                directory.tidy()
        if parcel.best is not None:
            for path in directory.best_files():
                if path.name not in parcel.best:
                    path.unlink(missing_ok=True)

    def close(self) -> None:
        self._held.close()


def _stamp(path: Path) -> Stamp | None:
    try:
        status = os.stat(path)  # noqa: PTH116  (a Path would be made into one for each of these many calls)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
