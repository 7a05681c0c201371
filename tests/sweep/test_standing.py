"""A look at many runs says what their directories say, whatever has become of the index beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from little import little_config

from bnnlab.experiment.directory import Epoch
from bnnlab.experiment.failure import Failure
from bnnlab.experiment.record import RunState
from bnnlab.sweep import standing
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun

FINISHED, FAILED, INTERRUPTED, PENDING = CONFIGS = [little_config(seed) for seed in range(4)]
KEYS = [config.run_key for config in CONFIGS]


@pytest.fixture(autouse=True)
def _index_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "WORTH_SAVING", 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ledger = Ledger(tmp_path)
    for config in (FINISHED, FAILED, INTERRUPTED):
        directory = ledger.directory(config.run_key)
        directory.create(config)
        directory.add_epoch(Epoch(0, 1.0, 1.0, {"val/top1": 0.5}))
    ledger.directory(FAILED.run_key).set_failure(Failure("diverged", "the training loss is nan", final=True))
    ledger.directory(FINISHED.run_key).set_result({"test/top1": 0.75}, {"code": "abc", "training_seconds": 2.5})
    return tmp_path


def seen(root: Path) -> list[tuple[object, ...]]:
    """What a new process sees."""
    found = Ledger(root).standings(KEYS)
    assert list(found) == KEYS
    return [(s.state, s.epochs, s.last, s.metrics, s.provenance, s.cause) for s in found.values()]


LAST = {"val/top1": 0.5}
TRUTH = [
    (RunState.FINISHED, 1, LAST, {"test/top1": 0.75}, {"code": "abc", "training_seconds": 2.5}, None),
    (RunState.FAILED, 1, LAST, None, None, "the training loss is nan"),
    (RunState.INTERRUPTED, 1, LAST, None, None, None),
    (RunState.PENDING, 0, None, None, None, None),
]


def test_first_and_later_looks_say_what_the_directories_say(root: Path) -> None:
    assert seen(root) == TRUTH
    assert (root / standing.INDEX).exists()
    assert seen(root) == TRUTH


def test_what_was_read_once_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen(root)
    read = []
    real = standing._read_directory
    monkeypatch.setattr(standing, "_read_directory", lambda d, stamp: (read.append(d.run_key), real(d, stamp))[1])
    assert seen(root) == TRUTH
    assert FINISHED.run_key not in read


def test_a_run_that_was_trained_again_is_read_again(root: Path) -> None:
    seen(root)
    ledger = Ledger(root)
    shelf = ledger.put_aside(FINISHED.run_key)
    assert seen(root)[0] == TRUTH[3]
    directory = ledger.directory(FINISHED.run_key)
    directory.create(FINISHED)
    directory.set_result({"test/top1": 0.25}, {})
    assert shelf is not None
    assert Ledger(root).standings(KEYS)[FINISHED.run_key].metrics == {"test/top1": 0.25}


def test_one_process_sees_what_another_has_finished(root: Path) -> None:
    ledger = Ledger(root)
    ledger.standings(KEYS)
    Ledger(root).directory(INTERRUPTED.run_key).set_result({"test/top1": 0.5}, {})
    assert ledger.standings(KEYS)[INTERRUPTED.run_key].state is RunState.FINISHED


def test_the_index_cut_at_any_byte_costs_nothing_but_time(root: Path) -> None:
    seen(root)
    index = root / standing.INDEX
    whole = index.read_bytes()
    for length in range(0, len(whole), 7):
        index.write_bytes(whole[:length])
        assert seen(root) == TRUTH, f"cut after {length} bytes"


@pytest.mark.parametrize(
    "text", ["[]", "null", '{"version": 0}', '{"version": 2}', '{"version": 2, "runs": {"x": 3}}', "\x00\xff"]
)
def test_an_index_of_another_kind_is_not_believed(root: Path, text: str) -> None:
    (root / standing.INDEX).write_text(text)
    assert seen(root) == TRUTH


def test_an_index_that_lies_about_another_file_is_not_believed(root: Path) -> None:
    seen(root)
    index = root / standing.INDEX
    found = json.loads(index.read_bytes())
    found["runs"][FINISHED.run_key][0][1] += 1
    found["runs"][FINISHED.run_key][3] = {"test/top1": 0.99}
    index.write_text(json.dumps(found))
    assert seen(root) == TRUTH


def test_a_ledger_that_cannot_be_written_is_read_all_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(standing, "write_json", refuse)
    assert seen(root) == TRUTH


def test_records_without_curves_have_all_but_the_epochs(root: Path) -> None:
    runs = [PlannedRun(config, {"what": "little"}) for config in CONFIGS]
    ledger = Ledger(root)
    with_curves = ledger.observations(runs)
    without = ledger.observations(runs, curves=False)
    assert [o.record for o in with_curves] == [ledger.record(run) for run in runs]
    assert [o.record for o in without] == [replace(o.record, epochs=()) for o in with_curves if o.record]
