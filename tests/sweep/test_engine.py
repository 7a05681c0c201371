"""What the engine does about runs that finish, fail, die, hang or belong to somebody else; nothing is trained here."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from little import (
    FakeExecutor,
    Listener,
    die,
    fail,
    finish,
    hang,
    little_config,
    little_runs,
    play,
    quick,
)

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.failure import KINDS, Failure
from bnnlab.experiment.record import RunState
from bnnlab.sweep import engine as engine_module
from bnnlab.sweep.engine import Engine
from bnnlab.sweep.events import RunDied, RunFailed
from bnnlab.sweep.executor import TAKEN, Exit
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.watch import Watch


def test_every_run_is_trained_once_and_a_second_sweep_trains_none(tmp_path: Path) -> None:
    runs = little_runs(5)
    keys = [run.run_key for run in runs]

    first, _, executor = play(tmp_path, runs)
    second, listener, idle = play(tmp_path, runs)

    assert sorted(first.trained) == sorted(keys)
    assert executor.submitted == keys
    assert (second.trained, second.reused, idle.submitted) == ([], keys, [])
    assert listener.names() == ["RunReused"] * 5


def test_a_run_that_is_asked_for_twice_is_trained_once(tmp_path: Path) -> None:
    run = little_runs(1)[0]
    outcome, _, executor = play(tmp_path, [run, run])
    assert outcome.trained == executor.submitted == [run.run_key]


@pytest.mark.parametrize("kind", [kind for kind, may_pass in KINDS.items() if not may_pass])
def test_a_fault_of_the_run_itself_is_never_tried_again(tmp_path: Path, kind: str) -> None:
    first, second = little_runs(2)
    outcome, listener, executor = play(tmp_path, [first, second], {first.run_key: [fail(kind, "it broke")]})

    assert executor.submitted.count(first.run_key) == 1
    assert outcome.failed[first.run_key].kind == kind
    assert outcome.trained == [second.run_key]
    assert listener.names(first.run_key) == ["RunStarted", "RunFailed"]
    record = Ledger(tmp_path).record(first)
    assert (record.state, record.cause) == (RunState.FAILED, "it broke")


@pytest.mark.parametrize("kind", [kind for kind, may_pass in KINDS.items() if may_pass and kind != "died"])
def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path, kind: str) -> None:
    (run,) = little_runs(1)
    script = {run.run_key: [fail(kind, final=False), fail(kind, final=False)]}

    outcome, listener, executor = play(tmp_path, [run], script, slots=1)

    assert outcome.trained == [run.run_key]
    assert not outcome.failed
    assert len(executor.submitted) == 3
    assert listener.names() == ["RunStarted", "RunDied"] * 2 + ["RunStarted", *["EpochFinished"] * 3, "RunFinished"]


def test_retries_end_and_the_run_has_failed_with_its_cause(tmp_path: Path) -> None:
    (run,) = little_runs(1)

    outcome, _, executor = play(tmp_path, [run], {run.run_key: [die] * 9}, retries=3)

    assert len(executor.submitted) == 4
    failure = RunDirectory(tmp_path / run.run_key).failure()
    assert failure == outcome.failed[run.run_key]
    assert (failure.kind, failure.cause) == ("died", "its process was killed by SIGKILL; 4 attempts in a row failed")
    assert Ledger(tmp_path).state(run.run_key) is RunState.FAILED


def test_an_epoch_in_between_makes_the_count_of_retries_start_again(tmp_path: Path) -> None:
    run = PlannedRun(little_config(epochs=6), {})

    def one_epoch_then_die(directory: RunDirectory) -> Exit:
        from bnnlab.experiment.directory import Epoch

        directory.add_epoch(Epoch(len(directory.epochs()), 0.0, 0.0, {"val/top1": 0.5}))
        return Exit(-9)

    outcome, _, executor = play(tmp_path, [run], {run.run_key: [one_epoch_then_die] * 5}, retries=1)

    assert outcome.trained == [run.run_key]
    assert len(executor.submitted) == 6


def test_pauses_double(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    _, listener, _ = play(tmp_path, [run], {run.run_key: [die] * 3}, retries=5, backoff_s=0.01)
    assert [event.pause_s for event in listener.events if isinstance(event, RunDied)] == [0.01, 0.02, 0.04]


def test_a_failed_run_is_left_alone_by_the_next_sweep_unless_that_is_told_to_retry(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    play(tmp_path, [run], {run.run_key: [fail("diverged", "the training loss is nan")]})

    again, listener, executor = play(tmp_path, [run])
    retried, _, _ = play(tmp_path, [run], retry_failed=True)

    assert executor.submitted == []
    assert again.failed[run.run_key].cause == "the training loss is nan"
    assert [event.earlier for event in listener.events if isinstance(event, RunFailed)] == [True]
    assert retried.trained == [run.run_key]
    assert Ledger(tmp_path).state(run.run_key) is RunState.FINISHED


def test_a_retried_run_whose_process_dies_has_not_failed_as_it_did_before(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    play(tmp_path, [run], {run.run_key: [fail("exception", "old")]})

    def die_before_a_word(directory: RunDirectory) -> Exit:
        directory.set_failure(old)  # the worker was killed before it could take the old failure away
        return Exit(-9)

    old = RunDirectory(tmp_path / run.run_key).failure()
    assert old is not None
    outcome, _, _ = play(tmp_path, [run], {run.run_key: [die_before_a_word]}, retry_failed=True)

    assert outcome.trained == [run.run_key]


# -- when to stop ----------------------------------------------------------------------------------


def test_failures_in_a_row_that_look_alike_end_the_sweep_with_the_reason(tmp_path: Path) -> None:
    runs = little_runs(8)
    scripts = {run.run_key: [fail("data", f"cifar is missing, says attempt {i}")] for i, run in enumerate(runs)}

    outcome, _, executor = play(tmp_path, runs, scripts, slots=1, stop_after=3)

    assert len(executor.submitted) == 3
    assert outcome.stopped == "3 runs in a row failed alike (data): cifar is missing, says attempt 2"
    assert not outcome.interrupted
    assert {Ledger(tmp_path).state(run.run_key) for run in runs[3:]} == {RunState.PENDING}


@pytest.mark.parametrize("between", [finish, fail("exception", "something else")])
def test_other_ends_in_between_keep_the_sweep_going(tmp_path: Path, between: object) -> None:
    runs = little_runs(6)
    acts = [fail("data", "missing"), fail("data", "missing"), between] * 2
    scripts = {run.run_key: [act] for run, act in zip(runs, acts, strict=True)}
    outcome, _, executor = play(tmp_path, runs, scripts, slots=1, stop_after=3)  # type: ignore[arg-type]
    assert (len(executor.submitted), outcome.stopped) == (6, "")


def test_diverging_runs_are_findings_and_never_end_the_sweep(tmp_path: Path) -> None:
    runs = little_runs(8)
    scripts = {run.run_key: [fail("diverged", "the training loss is nan")] for run in runs}
    outcome, _, _ = play(tmp_path, runs, scripts, stop_after=3)
    assert (len(outcome.failed), outcome.stopped) == (8, "")


def test_fail_fast_ends_the_sweep_at_the_first_failure_but_not_at_an_earlier_ones(tmp_path: Path) -> None:
    runs = little_runs(4)
    scripts = {runs[0].run_key: [fail("exception")]}
    first, _, _ = play(tmp_path, runs, scripts, slots=1, fail_fast=True)
    second, _, _ = play(tmp_path, runs, slots=1, fail_fast=True)

    assert first.stopped == "a run failed, and --fail-fast was asked for"
    assert first.trained == []
    assert len(second.trained) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_sweep_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    runs = little_runs(3)
    before = signal.getsignal(number)
    listener, executor = Listener(), FakeExecutor({run.run_key: [hang] for run in runs[1:]})
    engine = Engine(Ledger(tmp_path), executor, Execution(), [listener], quick())
    threading.Timer(0.3, os.kill, (os.getpid(), number)).start()

    outcome = engine.run(runs)

    assert outcome.interrupted
    assert outcome.trained == [runs[0].run_key]
    assert listener.names(runs[1].run_key) == ["RunStarted", "RunInterrupted"]
    assert signal.getsignal(number) == before


def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        run = little_runs(1)[0]

        def hang_up(directory: RunDirectory) -> Exit:
            os.kill(os.getpid(), signal.SIGHUP)
            return finish(directory)

        outcome, _, _ = play(tmp_path, [run], {run.run_key: [hang_up]})
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (outcome.trained, outcome.interrupted) == ([run.run_key], False)


# -- memory ----------------------------------------------------------------------------------------


def test_out_of_memory_puts_fewer_side_by_side_before_it_counts_as_a_failure(tmp_path: Path) -> None:
    runs = little_runs(4)
    script = {runs[0].run_key: [fail("out_of_memory", "out of memory: x", final=False)] * 5}

    outcome, listener, executor = play(tmp_path, runs, script, slots=4, retries=2)

    # Three times there was something to lower; then two retries alone.
    assert executor.slots == 1
    assert executor.submitted.count(runs[0].run_key) == 6
    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    reasons = [event.reason for event in listener.events if isinstance(event, RunDied)]
    assert reasons[0] == "out of memory: x; from now on 3 side by side"


# -- runs that start from others -------------------------------------------------------------------


def _pair() -> tuple[PlannedRun, PlannedRun]:
    start = little_config(7)
    return PlannedRun(start, {}), PlannedRun(little_config(1).starting_from(start), {"what": "second stage"})


@pytest.mark.parametrize("named", [True, False])
def test_a_run_waits_for_the_one_it_starts_from_also_where_that_was_not_asked_for(tmp_path: Path, named: bool) -> None:
    start, run = _pair()
    outcome, _, executor = play(tmp_path, [run, start] if named else [run])
    assert executor.submitted == [start.run_key, run.run_key]
    assert outcome.trained == [start.run_key, run.run_key]


def test_a_start_that_was_finished_before_keeps_nobody_waiting_who_stands_before_it(tmp_path: Path) -> None:
    start, run = _pair()
    play(tmp_path, [start])
    outcome, _, executor = play(tmp_path, [run, start])
    assert executor.submitted == [run.run_key]
    assert (outcome.trained, outcome.reused) == ([run.run_key], [start.run_key])


def test_a_run_whose_start_fails_fails_with_it(tmp_path: Path) -> None:
    start, run = _pair()
    script = {start.run_key: [fail("exception", "no such layer")]}

    outcome, _, executor = play(tmp_path, [start, run], script)
    again, _, _ = play(tmp_path, [start, run])
    mended, _, _ = play(tmp_path, [start, run], retry_failed=True)

    cause = f"run {start.run_key}, which it starts from, failed: no such layer"
    assert executor.submitted == [start.run_key]
    assert outcome.failed[run.run_key].cause == again.failed[run.run_key].cause == cause
    assert mended.trained == [start.run_key, run.run_key]


# -- sharing ---------------------------------------------------------------------------------------


def test_a_run_that_another_sweep_trains_is_waited_for(tmp_path: Path) -> None:
    runs = little_runs(2)
    directory = RunDirectory(tmp_path / runs[0].run_key)
    directory.create(runs[0].config)

    def elsewhere() -> None:
        time.sleep(0.3)
        finish(directory)
        lock.__exit__(None, None, None)

    lock = directory.locked()
    lock.__enter__()
    threading.Thread(target=elsewhere).start()
    outcome, listener, executor = play(tmp_path, runs)

    assert executor.submitted == [runs[1].run_key]
    assert outcome.reused == [runs[0].run_key]
    assert listener.names(runs[0].run_key) == ["RunElsewhere", "RunFinished"]


def test_a_run_that_another_sweep_leaves_unfinished_is_taken_up(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    directory = RunDirectory(tmp_path / run.run_key)
    directory.create(run.config)
    lock = directory.locked()
    lock.__enter__()
    threading.Timer(0.3, lock.__exit__, (None, None, None)).start()

    outcome, listener, _ = play(tmp_path, [run])

    assert outcome.trained == [run.run_key]
    assert listener.names()[:2] == ["RunElsewhere", "RunStarted"]


@pytest.mark.parametrize("kind", ["diverged", "died"])
def test_what_fails_in_another_sweep_is_not_tried_again_in_this_one(tmp_path: Path, kind: str) -> None:
    (run,) = little_runs(1)
    directory = RunDirectory(tmp_path / run.run_key)
    directory.create(run.config)
    lock = directory.locked()
    lock.__enter__()

    def fail_there() -> None:
        directory.set_failure(Failure(kind, "it broke there"))
        lock.__exit__(None, None, None)

    threading.Timer(0.3, fail_there).start()
    outcome, _, executor = play(tmp_path, [run], retry_failed=True)

    assert executor.submitted == []
    assert outcome.failed[run.run_key].cause == "it broke there"


def test_a_worker_that_finds_its_run_taken_costs_nothing(tmp_path: Path) -> None:
    (run,) = little_runs(1)

    def taken_and_finished(directory: RunDirectory) -> Exit:
        finish(directory)
        return Exit(TAKEN)

    outcome, _, _ = play(tmp_path, [run], {run.run_key: [lambda directory: Exit(TAKEN), taken_and_finished]})
    assert (outcome.reused, outcome.trained, outcome.failed) == ([run.run_key], [], {})


# -- what runs say of themselves -------------------------------------------------------------------


def test_a_clean_exit_without_a_result_is_not_believed(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    outcome, listener, _ = play(tmp_path, [run], {run.run_key: [lambda directory: Exit(0)]})
    assert outcome.trained == [run.run_key]
    assert [e.reason for e in listener.events if isinstance(e, RunDied)] == ["its process ended with exit code 0"]


def test_a_directory_that_holds_another_configuration_fails_that_run_alone(tmp_path: Path) -> None:
    wrong, right = little_runs(2)
    RunDirectory(tmp_path / wrong.run_key).create(right.config)

    outcome, _, _ = play(tmp_path, [wrong, right])

    assert outcome.trained == [right.run_key]
    failure = outcome.failed[wrong.run_key]
    assert failure.kind == "exception"
    assert f"is not the configuration of run {wrong.run_key}" in failure.cause


# -- hangs -----------------------------------------------------------------------------------------


def test_a_run_without_progress_is_killed_and_tried_again(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    outcome, listener, _ = play(tmp_path, [run], {run.run_key: [hang]}, hang_timeout_s=1.0)
    assert outcome.trained == [run.run_key]
    (died,) = [event for event in listener.events if isinstance(event, RunDied)]
    assert died.reason == "no progress for 1 s; its process is stopped or its machine unreachable"


class _Clock:
    """Stands in for `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_watch_knows_a_stopped_process_from_a_busy_one_and_from_its_own_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = _Clock()
    monkeypatch.setattr("bnnlab.sweep.watch.time.monotonic", clock)
    directory = RunDirectory(tmp_path)
    beats = itertools.count()

    def beat(steps: int) -> None:
        directory.heartbeat_file.write_text(
            f'{{"pid": 1, "beats": {next(beats)}, "steps": {steps}, "doing": "epoch 2 of 9"}}   \n'
        )

    beat(3)
    watch = Watch(directory)
    for steps in range(4, 60):  # gets on
        clock.now += 1
        beat(steps)
        watch.look()
    assert (watch.idle_s, watch.complaint(30)) == (0, None)
    clock.now += 3600  # the laptop was closed for an hour
    watch.look()
    assert watch.complaint(30) is None
    for _ in range(30):  # beats, but makes no step
        clock.now += 1
        beat(59)
        watch.look()
    assert watch.complaint(30) == "no progress for 30 s in epoch 2 of 9 after 59 batches; its process is alive"
    beat(60)
    clock.now += 1
    watch.look()
    assert watch.complaint(30) is None
    for _ in range(40):  # not even a beat
        clock.now += 1
        watch.look()
    assert watch.complaint(30) == (
        "no progress for 30 s in epoch 2 of 9 after 60 batches; its process is stopped or its machine unreachable"
    )


def test_a_run_in_a_queue_does_not_hang(tmp_path: Path) -> None:
    (run,) = little_runs(1)
    executor = FakeExecutor({run.run_key: [hang]})
    submit = executor.submit

    def submit_to_queue(path: Path, execution: Execution) -> object:
        job = submit(path, execution)
        job.started = False
        threading.Timer(2.0, lambda: (finish(job.directory), setattr(job, "exit", Exit(0)))).start()
        return job

    executor.submit = submit_to_queue  # type: ignore[method-assign, assignment]
    outcome = Engine(Ledger(tmp_path), executor, Execution(), [], quick(hang_timeout_s=1.0)).run([run])
    assert outcome.trained == [run.run_key]


def test_workers_that_will_not_end_do_not_keep_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "FAREWELL_S", 0.2)
    run, broken = little_runs(2)
    executor = FakeExecutor({run.run_key: [hang], broken.run_key: [fail("exception")]})
    submit = executor.submit

    def submit_immortal(path: Path, execution: Execution) -> object:
        job = submit(path, execution)
        if path.name == run.run_key:
            job.cancel = lambda: None  # type: ignore[method-assign]
        return job

    executor.submit = submit_immortal  # type: ignore[method-assign, assignment]
    listener = Listener()
    Engine(Ledger(tmp_path), executor, Execution(), [listener], quick(fail_fast=True)).run([run, broken])
    assert listener.names(run.run_key) == ["RunStarted", "RunInterrupted"]
