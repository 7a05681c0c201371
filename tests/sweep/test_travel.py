"""Run directories that travel: what arrives is whole after each file, and is the same as what was sent."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from little import little_config, little_runs, sweep

import bnnlab.sweep.travel as travel
from bnnlab.experiment.directory import RunDirectory, RunIsTaken
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.experiment.recorder import load_tensors, readable_checkpoint
from bnnlab.experiment.run import train
from bnnlab.sweep.travel import Inbox, Outbox, Parcel, pack, unpack

EPOCHS = 8


class PulledOut(BaseException):
    """As SIGKILL: nothing that would mend something gets to know of it."""


def trained_far_away(ledger: Path, away: Path, config: Any, *, each: Any = None) -> RunDirectory:
    """Train a run of the ledger in another folder, and bring back what there is as often as possible meanwhile."""
    directory = RunDirectory(ledger / config.run_key)
    directory.create(config)
    inbox = Inbox(directory)
    copy = unpack(pack(directory), away)
    outbox = Outbox(copy)
    worker = threading.Thread(target=train, args=(copy.path, Execution()))
    worker.start()
    try:
        while worker.is_alive():
            deliver(inbox, outbox.changes(), each)
    finally:
        worker.join()
    deliver(inbox, outbox.changes(ended=True), each)
    inbox.close()
    return directory


def deliver(inbox: Inbox, parcel: Parcel, each: Any) -> None:
    """One file after another, with a look at the ledger between them."""
    if each is None:
        inbox.receive(parcel)
        return
    for name, content in parcel.files:
        inbox.receive(Parcel(((name, content),)))
        each(inbox.directory)
    inbox.receive(dataclasses.replace(parcel, files=()))
    each(inbox.directory)


def digest(directory: RunDirectory) -> str:
    result = directory.result()
    assert result is not None
    return str(result["provenance"]["weights_sha256"])


def test_what_comes_back_is_what_was_trained(tmp_path: Path) -> None:
    config = little_config()
    sweep(tmp_path / "here", little_runs(1))

    directory = trained_far_away(tmp_path / "ledger", tmp_path / "away", config)

    here = RunDirectory(tmp_path / "here" / config.run_key)
    assert directory.state() is RunState.FINISHED
    assert digest(directory) == digest(here)
    assert directory.weights_file.read_bytes() == here.weights_file.read_bytes()
    assert [epoch.metrics for epoch in directory.epochs()] == [epoch.metrics for epoch in here.epochs()]
    log = {"log.txt"}  # made by the process around it, which is not here
    assert {path.name for path in directory.path.iterdir()} | log == {path.name for path in here.path.iterdir()}
    assert directory.attempts() == 1


def test_after_each_file_the_ledger_holds_a_state_to_go_on_from(tmp_path: Path) -> None:
    config = little_config(epochs=EPOCHS)
    seen: list[int] = []

    def look(directory: RunDirectory) -> None:
        if directory.result() is not None:
            load_tensors(directory.weights_file)
            return
        epochs = len(directory.epochs())
        seen.append(epochs)
        if directory.checkpoint_file.exists():
            state = load_tensors(directory.checkpoint_file)
            assert readable_checkpoint(directory, keep_best=True) is not None
            assert state["epoch"] + 1 >= epochs
        else:
            assert epochs == 0

    directory = trained_far_away(tmp_path / "ledger", tmp_path / "away", config, each=look)

    assert len(directory.epochs()) == EPOCHS
    assert len(set(seen)) > 2, "there was nothing to look at"


def test_a_coordinator_that_ends_between_any_two_files_leaves_a_run_that_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = little_config()
    undisturbed = digest(trained_far_away(tmp_path / "undisturbed", tmp_path / "away", config))
    written = travel.replace_file
    for last in range(1, 60):
        count = 0

        def write(path: Path, content: bytes, *, durable: bool = False, last: int = last) -> None:
            nonlocal count
            count += path.is_relative_to(tmp_path / "ledger")
            if count == last and path.is_relative_to(tmp_path / "ledger"):
                raise PulledOut
            written(path, content, durable=durable)

        monkeypatch.setattr(travel, "replace_file", write)
        ended = False
        try:
            trained_far_away(tmp_path / "ledger", tmp_path / f"away-{last}", config)
            ended = True
        except PulledOut:
            pass
        monkeypatch.setattr(travel, "replace_file", written)
        directory = RunDirectory(tmp_path / "ledger" / config.run_key)
        if not ended:
            _let_go(directory)
            directory = trained_far_away(tmp_path / "ledger", tmp_path / f"again-{last}", config)
        assert digest(directory) == undisturbed
        assert len(directory.epochs()) == config.training.epochs
        if ended:
            return
        shutil.rmtree(tmp_path / "ledger")
    pytest.fail("it never got through")


def _let_go(directory: RunDirectory) -> None:
    """The kernel does this when a process ends; here the lock's file object goes with the frames that held it."""
    import gc

    gc.collect()
    assert not directory.is_locked()


def test_a_run_takes_its_start_along_and_its_best_epoch(tmp_path: Path) -> None:
    start = little_config()
    follower = little_config(
        training={
            **start.model_dump(mode="json")["training"],
            "init_from": start.model_dump(mode="json"),
        }
    )
    trained_far_away(tmp_path / "ledger", tmp_path / "away", start)
    shutil.rmtree(tmp_path / "away")

    directory = trained_far_away(tmp_path / "ledger", tmp_path / "away", follower)

    assert directory.state() is RunState.FINISHED


def test_an_interrupted_run_is_not_sent_back_unchanged(tmp_path: Path) -> None:
    config = little_config()
    directory = RunDirectory(tmp_path / "ledger" / config.run_key)
    directory.create(config)
    directory.checkpoint_file.write_bytes(b"x" * 100)
    (directory.path / "best-0.pt").write_bytes(b"y" * 100)
    copy = unpack(pack(directory), tmp_path / "away")
    assert copy.checkpoint_file.read_bytes() == b"x" * 100
    assert not Outbox(copy).changes()


def test_a_run_that_is_trained_elsewhere_is_left_alone(tmp_path: Path) -> None:
    config = little_config()
    directory = RunDirectory(tmp_path / config.run_key)
    directory.create(config)
    inbox = Inbox(directory)
    with pytest.raises(RunIsTaken):
        Inbox(directory)
    inbox.close()
    Inbox(directory).close()
