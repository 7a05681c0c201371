"""Looking after a ledger: what is in it, how its runs differ, and what in it nobody needs any more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import RunDirectory, RunIsTaken
from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.sweep.ledger import REPLACED, Ledger


class NoSuchRun(Exception):
    """No run, or more than one, is called so; the message says which there are."""


def all_records(ledger: Ledger) -> Iterator[RunRecord]:
    """Every run whose configuration can be read and is still what its key says, in the order of the keys.

    A run of an older numerics version has another key today: it is in the ledger, and no study asks for it.
    """
    for key in ledger.run_keys():
        with suppress(ValueError):
            record = ledger.directory(key).record()
            if record.config.run_key == key:
                yield record


def find_record(ledger: Ledger, name: str) -> RunRecord:
    """The run whose key begins with `name`. Raises NoSuchRun."""
    keys = ledger.run_keys()
    found = [key for key in keys if name and key.startswith(name)]
    if len(found) > 1:
        raise NoSuchRun(f"'{name}' begins {len(found)} run keys: {', '.join(found[:5])}; give more of the key")
    if not found:
        near = get_close_matches(name, keys, 1)
        hint = f"  Did you mean '{near[0]}'?" if near else ""
        raise NoSuchRun(f"no run has the key '{name}'; `bnnlab runs` lists the {len(keys)} that there are.{hint}")
    try:
        return ledger.directory(found[0]).record()
    except ValueError as error:
        raise NoSuchRun(str(error)) from None


# -- how runs differ -------------------------------------------------------------------------------


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[str, str]]:
    """The fields in which two configurations differ, as dotted paths, with both values; "–" where one has no such."""
    mine, theirs = dict(leaves(one)), dict(leaves(other))
    paths = [*mine, *(path for path in theirs if path not in mine)]
    pairs = {path: (mine.get(path, "–"), theirs.get(path, "–")) for path in paths}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def leaves(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Every field as a dotted path and a text."""
    yield from _leaves(config.model_dump(mode="json"), "")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _leaves(child, f"{path}.{key}" if path else str(key))
    else:
        yield path, value if isinstance(value, str) else json.dumps(value)


def nearest_neighbour(ledger: Ledger, record: RunRecord) -> tuple[RunRecord, dict[str, tuple[str, str]]] | None:
    """The run with the fewest fields that differ, of equals a finished one, and those fields: its value, then ours."""
    others = [other for other in all_records(ledger) if other.run_key != record.run_key]
    if not others:
        return None
    found = [(differences(record.config, other.config), other) for other in others]
    fields, other = min(found, key=lambda pair: (len(pair[0]), pair[1].state is not RunState.FINISHED))
    return other, {path: (theirs, mine) for path, (mine, theirs) in fields.items()}


# -- what nobody needs -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Leftover:
    """Something that can be deleted without losing a result."""

    path: Path
    why: str
    size: int
    """Bytes."""


def leftovers(ledger: Ledger, *, orphans: bool = False) -> Iterator[Leftover]:
    """What can be deleted: checkpoints of finished runs, halves of files, runs that were put aside.

    `orphans`: also whole runs that no study can ask for any more, because their configuration has another key under
    today's numerics or cannot be read; their results are lost with them.
    """
    askable = {record.run_key for record in all_records(ledger)} if orphans else set()
    for key in ledger.run_keys():
        directory = ledger.directory(key)
        if directory.is_locked():
            continue
        if orphans and key not in askable:
            yield _leftover(directory.path, "no study can ask for this run: its key is of older numerics")
            continue
        finished = directory.result() is not None
        for path in sorted(directory.path.iterdir()):
            why = _why_not_needed(path, directory, finished)
            if why:
                yield _leftover(path, why)
    shelf = ledger.root / REPLACED
    for path in sorted(shelf.iterdir()) if shelf.is_dir() else ():
        yield _leftover(path, "put aside by --rerun")


def _why_not_needed(path: Path, directory: RunDirectory, finished: bool) -> str:
    if path.name == "unreadable.ckpt":
        return "a checkpoint that could not be read"
    if path.name.startswith("."):
        return "half of a file"
    if finished and (path == directory.checkpoint_file or path in directory.best_files()):
        return "a checkpoint of a finished run"
    return ""


def delete(ledger: Ledger, leftover: Leftover) -> bool:
    """Delete it, unless a process has begun to work on its run. Gives whether it is gone."""
    path = leftover.path
    if path.parent.name == REPLACED:
        shutil.rmtree(path)
        return True
    directory = RunDirectory(path if path.parent == ledger.root else path.parent)
    try:
        with directory.locked():
            if path == directory.path:
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except RunIsTaken:
        return False
    return True


def _leftover(path: Path, why: str) -> Leftover:
    files = path.rglob("*") if path.is_dir() else [path]
    return Leftover(path, why, sum(file.stat().st_size for file in files if file.is_file()))
