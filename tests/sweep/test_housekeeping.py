"""What `bnnlab runs`, `why` and `clean` say, and what `clean` leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from little import die, fail, little_config, play
from typer.testing import CliRunner

from bnnlab.cli import app
from bnnlab.experiment.directory import RunDirectory
from bnnlab.sweep.housekeeping import differences
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun

FINISHED = PlannedRun(little_config(0), {})
SLOWER = PlannedRun(little_config(0, lr=0.001), {})
DIVERGED = PlannedRun(little_config(1, lr=0.1), {})
PENDING = PlannedRun(little_config(2, epochs=9), {})


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("BNNLAB_PROJECT", str(tmp_path))
    script = {DIVERGED.run_key: [fail("diverged", "the training loss is nan")], PENDING.run_key: [die]}
    play(tmp_path / "runs", [FINISHED, SLOWER, DIVERGED], script)
    ledger = Ledger(tmp_path / "runs")
    ledger.directory(PENDING.run_key).create(PENDING.config)
    return ledger


def command(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.stdout, done.stderr


def listed(*words: str) -> set[str]:
    code, out, _ = command("runs", "--json", *words)
    assert code == 0
    return {row["run_key"] for row in json.loads(out)}


def test_runs_lists_and_filters(ledger: Ledger) -> None:
    assert listed() == {run.run_key for run in (FINISHED, SLOWER, DIVERGED, PENDING)}
    assert listed("--state", "failed") == {DIVERGED.run_key}
    assert listed("--where", "seed=0", "--where", "training.optimizer.lr=0.001") == {SLOWER.run_key}
    assert listed("--where", "no.such.field=1") == set()


def test_runs_leaves_out_what_no_study_can_ask_for(ledger: Ledger) -> None:
    old = ledger.root / "0123456789abcdef"
    shutil.copytree(ledger.root / FINISHED.run_key, old)
    assert old.name not in listed()
    lines = command("clean", "--orphans")[1].splitlines()
    assert len(lines) == 1
    assert f"{old.name}  (no study can ask for this run" in lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["runs", "--state", "fnished"],
            (
                "bnnlab runs: unknown state 'fnished'; allowed: pending, running, interrupted, failed, pruned, finished.  "
                "Did you mean 'finished'?"
            ),
        ),
        (["runs", "--where", "seed"], "bnnlab runs: --where takes PATH=VALUE, not 'seed'"),
        (["why", "zzz"], "bnnlab why: no run has the key 'zzz'; `bnnlab runs` lists the 4 that there are."),
    ],
)
def test_mistakes_are_told_with_what_is_allowed(ledger: Ledger, words: list[str], message: str) -> None:
    assert command(*words) == (2, "", message + "\n")


def test_why_names_the_nearest_neighbour_and_what_differs(ledger: Ledger) -> None:
    code, out, _ = command("why", "--json", SLOWER.run_key)
    found = json.loads(out)
    assert code == 0
    assert found["nearest"] == {"run_key": FINISHED.run_key, "state": "finished"}
    assert found["differences"] == {"training.optimizer.lr": ["0.01", "0.001"]}
    assert found["reuse"].startswith("reused by every study that asks for it")


def test_why_says_why_a_run_is_not_reused(ledger: Ledger) -> None:
    out = command("why", DIVERGED.run_key[:8])[1]
    assert "not reused: it failed; --retry-failed tries it again" in out
    assert "cause: the training loss is nan" in out


def test_differences_name_fields_that_one_of_them_has_not() -> None:
    sgd = little_config(
        training={
            "epochs": 3,
            "batch_size": 16,
            "optimizer": {"name": "sgd", "lr": 0.01},
            "schedule": {"name": "cosine"},
        }
    )
    found = differences(little_config(), sgd)
    assert found["training.optimizer.name"] == ("adam", "sgd")
    assert found["training.optimizer.momentum"] == ("–", "0.9")
    assert found["training.optimizer.eps"] == ("1e-08", "–")
    assert "training.optimizer.lr" not in found


def test_clean_says_what_it_would_delete_and_deletes_with_yes(ledger: Ledger) -> None:
    finished, unfinished = RunDirectory(ledger.root / FINISHED.run_key), RunDirectory(ledger.root / PENDING.run_key)
    doomed = [finished.checkpoint_file, finished.best_file(2), finished.path / ".last.ckpt.new"]
    kept = [unfinished.checkpoint_file, unfinished.best_file(0), finished.result_file, finished.weights_file]
    for path in (*doomed, *kept[:2], kept[3]):
        path.write_bytes(b"x" * 1000)
    aside = ledger.put_aside(SLOWER.run_key)
    assert aside is not None

    told = command("clean")
    assert (told[0], len(told[1].splitlines())) == (0, 4)
    assert "to delete them:  bnnlab clean --yes" in told[2]
    assert all(path.exists() for path in (*doomed, *kept, aside))

    assert "deleted 4 of 4" in command("clean", "--yes")[2]
    assert not any(path.exists() for path in (*doomed, aside))
    assert all(path.exists() for path in kept)
    assert command("clean")[2] == "nothing to delete\n"


def test_clean_leaves_runs_alone_that_are_being_trained(ledger: Ledger) -> None:
    directory = ledger.directory(PENDING.run_key)
    half = directory.path / ".last.ckpt.new"
    half.write_bytes(b"x")
    with directory.locked():
        assert command("clean", "--yes")[2] == "nothing to delete\n"
    assert half.exists()
