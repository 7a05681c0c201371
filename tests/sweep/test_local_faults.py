"""Faults of every kind in real worker processes: the right state, the right number of attempts, the others untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faults
import pytest
from little import Listener, little_runs, local_executor, quick, sweep

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.sweep.engine import Engine
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun

EVER = 99
"""More often than any run is tried."""


def weights_of(root: Path, runs: list[PlannedRun]) -> dict[str, str]:
    """Digest of the final weights by run key; raises where a run is not finished."""
    results = {run.run_key: RunDirectory(root / run.run_key).result() for run in runs}
    return {key: result["provenance"]["weights_sha256"] for key, result in results.items() if result is not None}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    runs = little_runs(3)
    root = tmp_path_factory.mktemp("undisturbed")
    sweep(root, runs)
    return weights_of(root, runs)


# do, how often, options of the policy -> kind and words of the final failure (None: it finishes), attempts
FAULTS: dict[str, tuple[str, int, dict[str, Any], str | None, str, int]] = {
    "NaN": ("nan", EVER, {}, "diverged", "the training loss is nan in epoch 2, step 1", 1),
    "an exception": ("raise", EVER, {}, "exception", "KeyError: 'no such layer'", 1),
    "os._exit, once": ("exit", 1, {}, None, "", 2),
    "os._exit, always": ("exit", EVER, {}, "died", "its process ended with exit code 7; 3 attempts in a row failed", 3),
    "a clean exit": ("quit", EVER, {}, "died", "its process ended with exit code 0; 3 attempts in a row failed", 3),
    "SIGKILL": ("kill", 2, {}, None, "", 3),
    "SIGTERM": ("terminate", 1, {}, None, "", 2),
    "no memory by ulimit": ("memory", EVER, {"retries": 1}, "out_of_memory", "out of memory: ", 2),
    "no CUDA memory, once": ("cuda_memory", 1, {}, None, "", 2),
    "a hang, once": ("sleep", 1, {"hang_timeout_s": 3.0}, None, "", 2),
    "a hang, always": ("sleep", EVER, {"hang_timeout_s": 2.0, "retries": 1}, "hang", "no progress for 2 s", 2),
    "SIGSTOP": ("stop", 1, {"hang_timeout_s": 3.0}, None, "", 2),
    "a clock that jumps": ("clock", 1, {}, None, "", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_touches_its_own_run_alone(tmp_path: Path, undisturbed: dict[str, str], fault: str) -> None:
    do, times, policy, kind, words, attempts = FAULTS[fault]
    runs = little_runs(3)
    victim, others = runs[0], runs[1:]
    faults.ask_for(tmp_path / victim.run_key, do, epoch=1, times=times)

    # One at a time where memory is short: it is not to be mended by putting fewer side by side.
    outcome, _ = sweep(tmp_path, runs, slots=1 if do == "memory" else 2, **policy)

    directory = RunDirectory(tmp_path / victim.run_key)
    assert directory.attempts() == attempts
    assert {run.run_key for run in others} <= set(outcome.trained)
    expected = dict(undisturbed)
    if kind is None:
        assert directory.state() is RunState.FINISHED
        assert not outcome.failed
    else:
        del expected[victim.run_key]
        failure = directory.failure()
        assert directory.state() is RunState.FAILED
        assert failure is not None
        assert failure == outcome.failed[victim.run_key]
        assert failure.kind == kind
        assert words in failure.cause
        assert Ledger(tmp_path).record(victim).cause == failure.cause
        assert len(directory.epochs()) == 1
    if kind == "exception":
        assert "in training_step" in failure.log_tail
    assert weights_of(tmp_path, runs) == expected


@contextmanager
def small_disk(folder: Path, *options: str) -> Iterator[None]:
    """A file system of its own for a run directory."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", ",".join(["size=4m", *options]), "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    runs = little_runs(3)
    directory = RunDirectory(tmp_path / runs[0].run_key)
    with small_disk(directory.path):
        (directory.path / "ballast").write_bytes(b"\0" * ((4 << 20) - (200 << 10)))

        outcome, listener = sweep(tmp_path, runs, retries=1)

        failure = outcome.failed[runs[0].run_key]
        assert failure.kind == "disk_full"
        assert "disk" in failure.cause
        assert listener.names(runs[0].run_key).count("RunStarted") == 2
        assert directory.state() is RunState.FAILED
        assert set(outcome.trained) == {run.run_key for run in runs[1:]}

        (directory.path / "ballast").unlink()
        mended, _ = sweep(tmp_path, runs, retry_failed=True)

        assert mended.trained == [runs[0].run_key]
        assert weights_of(tmp_path, runs) == undisturbed


def test_a_run_directory_that_cannot_be_written(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    runs = little_runs(3)
    with small_disk(tmp_path / runs[0].run_key, "ro"):
        outcome, listener = sweep(tmp_path, runs, retries=1)

        assert outcome.failed[runs[0].run_key].kind == "unwritable"
        assert listener.names(runs[0].run_key) == ["RunDied", "RunFailed"]
        assert set(outcome.trained) == {run.run_key for run in runs[1:]}
    # Nothing could be noted there, so that nothing has to be taken back: mended, the same command trains it.
    mended, _ = sweep(tmp_path, runs)
    assert mended.trained == [runs[0].run_key]
    assert weights_of(tmp_path, runs) == undisturbed


@pytest.mark.parametrize("name", ["result.json", "metrics.jsonl", "config.json", "attempts.jsonl", "weights.pt"])
def test_a_file_of_a_finished_run_that_was_cut(tmp_path: Path, undisturbed: dict[str, str], name: str) -> None:
    run = little_runs(1)[0]
    sweep(tmp_path, [run])
    path = tmp_path / run.run_key / name
    path.write_bytes(path.read_bytes()[:-20])

    outcome, _ = sweep(tmp_path, [run])

    # Without its result a run is not finished, and is trained again; nothing else makes it doubtful.
    assert outcome.trained == ([run.run_key] if name == "result.json" else [])
    assert weights_of(tmp_path, [run]) == {run.run_key: undisturbed[run.run_key]}


COORDINATOR = """
import json, sys
from pathlib import Path
from little import little_runs, sweep
root, count = Path(sys.argv[1]), int(sys.argv[2])
if __name__ == "__main__":
    outcome, _ = sweep(root, little_runs(count))
    print(json.dumps({"trained": outcome.trained, "reused": outcome.reused, "failed": list(outcome.failed)}))
"""


def _coordinator(root: Path, count: int) -> subprocess.Popen[str]:
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    words = [sys.executable, "-c", COORDINATOR, str(root), str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)


def test_two_coordinators_share_the_work(tmp_path: Path) -> None:
    runs = little_runs(8)
    with _coordinator(tmp_path, len(runs)) as first, _coordinator(tmp_path, len(runs)) as second:
        outcomes = [json.loads(process.communicate(timeout=300)[0]) for process in (first, second)]

    keys = sorted(run.run_key for run in runs)
    assert sorted(outcomes[0]["trained"] + outcomes[1]["trained"]) == keys
    for outcome in outcomes:
        assert sorted(outcome["trained"] + outcome["reused"]) == keys
        assert outcome["failed"] == []
    assert {RunDirectory(tmp_path / key).attempts() for key in keys} == {1}


def test_a_stopped_worker_of_a_killed_coordinator_is_freed_by_the_next_one(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    runs = little_runs(1)
    directory = RunDirectory(tmp_path / runs[0].run_key)
    faults.ask_for(directory.path, "stop", epoch=1)
    with _coordinator(tmp_path, 1) as first:
        deadline = time.monotonic() + 120
        while not directory.epochs():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        first.kill()
    assert directory.is_locked()
    time.sleep(0.5)
    assert directory.is_locked()

    outcome, listener = sweep(tmp_path, runs)

    assert outcome.trained == [runs[0].run_key]
    assert listener.names()[:2] == ["RunElsewhere", "RunStarted"]
    assert weights_of(tmp_path, runs) == {runs[0].run_key: undisturbed[runs[0].run_key]}


def test_a_killed_forkserver_loses_nothing(tmp_path: Path) -> None:
    runs = little_runs(4, epochs=6)
    listener = Listener()
    executor = local_executor(2)
    killed: list[int] = []

    class Killer:
        def tell(self, event: object) -> None:
            if type(event).__name__ == "EpochFinished" and not killed:
                from multiprocessing.forkserver import _forkserver

                killed.append(_forkserver._forkserver_pid)
                os.kill(killed[0], 9)

    outcome = Engine(Ledger(tmp_path), executor, Execution(), [listener, Killer()], quick()).run(runs)
    executor.close()

    assert killed
    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert {RunDirectory(tmp_path / run.run_key).attempts() for run in runs} == {1}
