"""What a reader may believe of a run directory, whatever state its files are in."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import Epoch, RunDirectory, RunIsTaken, WrongDirectory
from bnnlab.experiment.failure import Failure, classify
from bnnlab.experiment.files import append_line
from bnnlab.experiment.heartbeat import Heartbeat, read_pulse
from bnnlab.experiment.holder import Process, this_process
from bnnlab.experiment.record import RunState

CONFIG = RunConfig.model_validate(
    {
        "model": {"name": "resnet_e18"},
        "data": {"name": "synthetic"},
        "training": {"epochs": 3, "batch_size": 8, "optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}},
        "seed": 0,
    }
)
EPOCHS = tuple(Epoch(i, 1e9 + i, 0.5, {"val/loss": 1.5 - i / 8, "val/top1": 0.5 + i / 16}) for i in range(3))
RESULT = {"test/top1": 0.625, "model/size_mib": 4.0}
FAILURE = Failure("exception", "KeyError: 'no such layer'", "the log's end", 2, True, 1e9)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run with every file there is, but for its result."""
    directory = RunDirectory(tmp_path / CONFIG.run_key)
    directory.create(CONFIG)
    directory.add_attempt({"process": this_process().as_json(), "coordinator": None})
    for epoch in EPOCHS:
        directory.add_epoch(epoch)
    return directory


def cuts(path: Path) -> list[bytes]:
    """The content of a file, cut at each byte."""
    content = path.read_bytes()
    return [content[:length] for length in range(len(content))]


def test_what_was_written_is_read(directory: RunDirectory) -> None:
    assert directory.config() == CONFIG
    assert directory.epochs() == EPOCHS
    assert directory.attempts() == 1
    assert directory.state() is RunState.INTERRUPTED
    directory.set_failure(FAILURE)
    assert directory.failure() == FAILURE
    assert directory.state() is RunState.FAILED
    directory.set_result(RESULT, {"finished": 1e9})
    assert directory.state() is RunState.FINISHED
    assert directory.record().metrics == RESULT


def test_a_result_cut_at_any_byte_does_not_make_a_run_finished(directory: RunDirectory) -> None:
    directory.set_result(RESULT, {"finished": 1e9})
    whole = directory.result()
    for content in cuts(directory.result_file):
        directory.result_file.write_bytes(content)
        # All but the newline at the end is all of it.
        assert directory.result() in (None, whole)
        assert (directory.state() is RunState.FINISHED) == (directory.result() == whole)
        record = directory.record()
        assert record.metrics in (None, RESULT)


def test_metrics_cut_at_any_byte_are_a_shorter_history(directory: RunDirectory) -> None:
    content = directory.metrics_file.read_bytes()
    for cut in cuts(directory.metrics_file):
        directory.metrics_file.write_bytes(cut)
        found = directory.epochs()
        assert found == EPOCHS[: len(found)]
        assert len(found) >= cut.count(b"\n")
    directory.metrics_file.write_bytes(content[:-30])
    directory.set_epochs(directory.epochs())
    directory.add_epoch(EPOCHS[2])
    assert directory.epochs() == EPOCHS


def test_a_failure_cut_at_any_byte_lets_the_run_be_tried_again(directory: RunDirectory) -> None:
    directory.set_failure(FAILURE)
    for content in cuts(directory.failure_file):
        directory.failure_file.write_bytes(content)
        assert directory.failure() in (None, FAILURE)
        assert directory.state() in (RunState.INTERRUPTED, RunState.FAILED)


def test_a_configuration_cut_at_any_byte_is_refused_and_written_again(directory: RunDirectory) -> None:
    for content in cuts(directory.config_file)[:-1]:
        directory.config_file.write_bytes(content)
        with pytest.raises(ValueError, match=r"config\.json cannot be read"):
            directory.record()
        directory.create(CONFIG)
        assert directory.config() == CONFIG


def test_attempts_and_heartbeat_cut_at_any_byte_say_less(directory: RunDirectory) -> None:
    for content in cuts(directory.attempts_file):
        directory.attempts_file.write_bytes(content)
        holder = directory.holder()
        assert holder is None or holder.process == this_process()
    with Heartbeat(directory.heartbeat_file):
        whole = directory.pulse()
    for content in cuts(directory.heartbeat_file):
        directory.heartbeat_file.write_bytes(content)
        assert directory.pulse() in (None, whole)


def test_a_line_after_a_cut_line_is_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text('{"a": 1}\n{"b"')
    append_line(path, '{"c": 3}')
    assert path.read_text() == '{"a": 1}\n{"b"\n{"c": 3}\n'


@pytest.mark.parametrize(
    "result", [{}, [], {"run_key": "another", "metrics": {}, "provenance": {}}, {"run_key": CONFIG.run_key}]
)
def test_a_result_of_something_else_is_not_believed(directory: RunDirectory, result: object) -> None:
    directory.result_file.write_text(json.dumps(result))
    assert directory.result() is None


def test_a_result_moved_to_another_run_is_not_believed(directory: RunDirectory, tmp_path: Path) -> None:
    directory.set_result(RESULT, {"finished": 1e9})
    other = RunDirectory(tmp_path / "0123456789abcdef")
    shutil.copytree(directory.path, other.path)
    assert other.state() is not RunState.FINISHED


def test_a_metric_that_is_not_finite_is_no_result(directory: RunDirectory) -> None:
    with pytest.raises(ValueError, match=r"not finite: \{'test/loss': nan\}"):
        directory.set_result({"test/loss": float("nan")}, {})
    assert directory.state() is RunState.INTERRUPTED


def test_another_configuration_is_not_written_over(directory: RunDirectory) -> None:
    with pytest.raises(WrongDirectory):
        directory.create(CONFIG.with_seed(5))
    assert directory.config() == CONFIG


def test_a_run_is_held_by_one_process_and_freed_by_its_end(directory: RunDirectory) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_hold, args=(directory.path, gate := context.Event()))
    process.start()
    assert gate.wait(60)
    assert directory.state() is RunState.RUNNING
    with pytest.raises(RunIsTaken), directory.locked():
        pass
    process.kill()
    process.join()
    assert directory.state() is RunState.INTERRUPTED
    with directory.locked():
        assert directory.is_locked()
    assert not directory.is_locked()


def _hold(path: Path, gate: object) -> None:
    import time

    with RunDirectory(path).locked():
        gate.set()  # type: ignore[attr-defined]
        time.sleep(600)


def test_a_process_with_the_number_of_another_is_not_that_one() -> None:
    me = this_process()
    assert not me.has_ended
    assert Process(me.pid, me.started - 1, me.host, me.boot).has_ended
    # Of another machine nothing can be known, and so nothing is done.
    elsewhere = Process(me.pid, me.started - 1, "another host", me.boot)
    assert not elsewhere.has_ended
    elsewhere.kill()


def test_the_heartbeat_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnnlab.experiment.heartbeat.BEAT_S", 0.01)
    path = tmp_path / "heartbeat"
    with Heartbeat(path) as heartbeat:
        first = read_pulse(path)
        heartbeat.steps, heartbeat.doing = 7, "epoch 2 of 3"
        pulse = first
        while pulse is None or pulse.steps != 7 or pulse.doing != "epoch 2 of 3":
            pulse = read_pulse(path)
    assert first is not None
    assert pulse.beats > first.beats


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."), "out_of_memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), "out_of_memory"),
        (OSError(28, "No space left on device"), "disk_full"),
        (OSError(30, "Read-only file system"), "unwritable"),
        (PermissionError(13, "Permission denied"), "unwritable"),
        (OSError(5, "Input/output error"), "exception"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "exception"),
    ],
)
def test_failures_have_kinds(error: Exception, kind: str) -> None:
    assert classify(error)[0] == kind
