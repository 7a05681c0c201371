"""What a plan is expected to cost, from what was measured."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from little import little_config
from typer.testing import CliRunner

from bnnlab.cli import app
from bnnlab.experiment.directory import Epoch
from bnnlab.sweep.estimate import Estimate, estimate
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.samples import Sample

HERE = socket.gethostname()
RUNS = [PlannedRun(little_config(seed), {}) for seed in range(6)]
OTHER_WORK = PlannedRun(little_config(0, data={"name": "synthetic", "train": 64, "validation": 16, "test": 16}), {})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "runs")


def finish(
    ledger: Ledger, run: PlannedRun, *, trained_s: float, whole_s: float, host: str = HERE, attempts: int = 1
) -> int:
    """Write a finished run; gives the bytes of its directory."""
    directory = ledger.directory(run.run_key)
    directory.create(run.config)
    epochs = run.config.training.epochs
    directory.set_epochs(tuple(Epoch(i, 1.0 + i, trained_s / epochs, {"val/top1": 0.5}) for i in range(epochs)))
    facts = {"training_seconds": trained_s, "started": 100.0, "finished": 100.0 + whole_s, "host": host}
    directory.set_result({"test/top1": 0.5}, {**facts, "attempts": attempts})
    return sum(path.stat().st_size for path in directory.path.iterdir())


def expected(ledger: Ledger, runs: list[PlannedRun], slots: int = 1) -> Estimate:
    return estimate(runs, ledger.standings(run.run_key for run in runs), ledger.samples(), slots)


def test_finished_runs_of_the_same_work_tell_time_and_disk(ledger: Ledger) -> None:
    size = finish(ledger, RUNS[0], trained_s=6.0, whole_s=7.0)
    size += finish(ledger, RUNS[1], trained_s=12.0, whole_s=13.0)
    found = expected(ledger, RUNS)
    assert (found.runs, found.known, found.finished_runs, found.pilots) == (4, 4, 2, 0)
    # One second of set-up, and three epochs of 2 to 4 seconds: each of the four runs takes 7, 10 or 13 seconds.
    assert (found.low_s, found.seconds, found.high_s) == (28.0, 40.0, 52.0)
    assert found.bytes_kept == pytest.approx(4 * size / 2, abs=4)
    assert found.bytes_at_most > found.bytes_kept


def test_slots_share_the_work_and_the_longest_run_bounds_it(ledger: Ledger) -> None:
    finish(ledger, RUNS[0], trained_s=9.0, whole_s=10.0)
    assert expected(ledger, RUNS, slots=2).seconds == 30.0
    assert expected(ledger, RUNS, slots=64).seconds == 10.0


def test_an_interrupted_run_costs_what_is_left_of_it(ledger: Ledger) -> None:
    finish(ledger, RUNS[0], trained_s=9.0, whole_s=10.0)
    directory = ledger.directory(RUNS[1].run_key)
    directory.create(RUNS[1].config)
    directory.set_epochs((Epoch(0, 1.0, 3.0, {}), Epoch(1, 2.0, 3.0, {})))
    assert expected(ledger, RUNS[:2]).seconds == 4.0


def test_the_set_up_of_a_run_that_was_interrupted_is_not_made_up(ledger: Ledger) -> None:
    finish(ledger, RUNS[0], trained_s=9.0, whole_s=4.0, attempts=2)
    assert expected(ledger, RUNS[:2]).seconds == 9.0


def test_runs_of_this_machine_go_before_those_of_others(ledger: Ledger) -> None:
    finish(ledger, RUNS[0], trained_s=90.0, whole_s=90.0, host="cluster-7")
    alone = expected(ledger, RUNS[:3])
    assert (alone.seconds, alone.hosts) == (180.0, ("cluster-7",))
    finish(ledger, RUNS[1], trained_s=9.0, whole_s=9.0)
    assert expected(ledger, RUNS[:3]).seconds == 9.0


def test_work_that_nothing_is_known_of_is_named_not_guessed(ledger: Ledger) -> None:
    finish(ledger, RUNS[0], trained_s=9.0, whole_s=10.0)
    found = expected(ledger, [*RUNS, OTHER_WORK])
    assert (found.runs, found.known, found.unknown) == (6, 5, (OTHER_WORK,))
    assert found.seconds == 50.0


def test_a_pilot_is_used_until_a_run_is_finished(ledger: Ledger) -> None:
    ledger.save_pilot(RUNS[0].config, Sample(epoch_s=5.0, setup_s=1.0, size=1000, host=HERE, is_pilot=True))
    found = expected(ledger, RUNS[:2])
    assert (found.seconds, found.bytes_kept, found.pilots) == (32.0, 2000, 1)
    finish(ledger, RUNS[0], trained_s=9.0, whole_s=10.0)
    assert (expected(ledger, RUNS[:2]).seconds, expected(ledger, RUNS[:2]).pilots) == (10.0, 0)


def test_a_file_of_pilots_that_cannot_be_read_is_no_file(ledger: Ledger) -> None:
    ledger.root.mkdir()
    for text in ("[]", '{"abc": 3}', '{"abc": {"epoch_s": 1}}', "\x00"):
        (ledger.root / ".pilots.json").write_text(text)
        assert expected(ledger, RUNS).known == 0


SPEC = """\
name: little
base:
  model: {name: resnet_e18, width: 16}
  data: {name: synthetic, train: 64, validation: 32, test: 32, image_size: 8}
  training: {epochs: 3, batch_size: 16, optimizer: {name: adam}, schedule: {name: cosine}}
axes:
  training.optimizer.lr: [0.01, 0.001]
  data.augmentation: [none, shift1]
"""


def test_plan_tells_the_cost_once_a_pilot_has_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BNNLAB_PROJECT", str(tmp_path))
    spec = tmp_path / "study.yaml"
    spec.write_text(SPEC)
    first = CliRunner().invoke(app, ["plan", str(spec)])
    assert "no finished run tells the time of 4 runs (2 kinds of work); `bnnlab plan --pilot`" in first.stdout
    piloted = CliRunner().invoke(app, ["plan", str(spec), "--pilot", "--workers", "2"])
    assert piloted.exit_code == 0, piloted.stderr
    assert "pilot 2 of 2, lr=0.01,augmentation=shift1,seed=0:" in piloted.stderr
    assert "on 2 slots" in piloted.stdout
    assert "by 2 pilots, each alone on the machine" in piloted.stdout
    again = CliRunner().invoke(app, ["plan", str(spec), "--pilot", "--json"])
    found = json.loads(again.stdout)["estimate"]
    assert "every kind of work has been measured before" in again.stderr
    assert (found["runs"], found["known"], found["pilots"]) == (4, 4, 2)
    assert found["seconds"] > 0
    assert not [path for path in (tmp_path / "runs").iterdir() if path.is_dir()], "a pilot leaves no run"
