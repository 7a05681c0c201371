"""Optuna's journal of a search, beside the ledger: `runs/.searches/STUDY-PROFILE-ID/journal.log`.

Any Optuna reads it (`JournalStorage(JournalFileBackend(path))`), its dashboard too. One coordinator writes it: the
one that holds `coordinator.lock`, which the kernel releases however that process ends.
"""

from __future__ import annotations

import fcntl
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from bnnlab.experiment.files import replace_file, write_json
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.search.samplers import build_pruner

if TYPE_CHECKING:
    from bnnlab.sweep.search.spec import Search

SEARCHES = ".searches"
SAVE_CLOCK_EVERY_S = 2.0

optuna.logging.set_verbosity(optuna.logging.WARNING)


class SearchIsTaken(Exception):
    """Another process coordinates this search."""


def search_folder(ledger: Ledger, search: Search) -> Path:
    """Where a search keeps its journal; of each profile and each change of its space another."""
    return ledger.root / SEARCHES / f"{search.study}-{search.profile}-{search.search_id}"


def journals(ledger: Ledger) -> list[Path]:
    """The journals of all searches of a ledger, for Optuna's dashboard."""
    return sorted((ledger.root / SEARCHES).glob("*/journal.log"))


@contextmanager
def coordinating(folder: Path) -> Iterator[None]:
    """Be the one that writes a search's journal. Raises SearchIsTaken."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "coordinator.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SearchIsTaken(f"another process coordinates this search; its journal is in {folder}") from None
        # Whoever held Optuna's own lock is dead; its storage would wait 30 s before it took that for granted.
        (folder / "journal.log.lock").unlink(missing_ok=True)
        _mend(folder / "journal.log")
        yield


def open_study(folder: Path, search: Search) -> optuna.Study:
    """Optuna's study, made where it does not exist. Only for whoever is `coordinating`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's experimental parts say so
        return optuna.create_study(
            storage=_storage(folder),
            study_name=search.title,
            directions=[objective.direction for objective in search.objectives],
            sampler=optuna.samplers.RandomSampler(),  # the coordinator puts the real one in its place
            pruner=build_pruner(search.pruner, epochs=search.epochs),
            load_if_exists=True,
        )


def read_study(folder: Path, search: Search) -> optuna.Study | None:
    """Optuna's study as it is at this moment, to look at; None before the first session."""
    if not (folder / "journal.log").exists():
        return None
    try:
        sampler, pruner = optuna.samplers.RandomSampler(), optuna.pruners.NopPruner()
        return optuna.load_study(study_name=search.title, storage=_storage(folder), sampler=sampler, pruner=pruner)
    except KeyError:
        return None


def _storage(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / "journal.log")))


def _mend(path: Path) -> None:
    """Cut off a last line that was not written whole: the next one would be appended to it, and both lost."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    whole = content[: content.rfind(b"\n") + 1]
    lines = whole.splitlines(keepends=True)
    if lines and not _is_json(lines[-1]):
        whole = whole[: -len(lines[-1])]
    if whole != content:
        path.with_name("journal.log.cut").write_bytes(content[len(whole) :])
        replace_file(path, whole, durable=True)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class Clock:
    """How long a search has been coordinated, over all its sessions; written down now and then."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "clock.json"
        self._before = _spent(self._path)
        self._started = self._saved = time.monotonic()

    def seconds(self) -> float:
        now = time.monotonic()
        spent = self._before + now - self._started
        if now - self._saved >= SAVE_CLOCK_EVERY_S:
            self._saved = now
            write_json(self._path, {"seconds": spent})
        return spent

    def save(self) -> None:
        write_json(self._path, {"seconds": self._before + time.monotonic() - self._started})


def spent(folder: Path) -> float:
    """Seconds that all sessions of a search have taken so far."""
    return _spent(folder / "clock.json")


def _spent(path: Path) -> float:
    try:
        return float(json.loads(path.read_bytes())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0
