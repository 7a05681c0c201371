"""Runs as jobs of Slurm: a Slurm of one machine in `fake_slurm/`, submitit's own executor, and what sbatch accepts."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from little import Listener, little_runs, quick, sweep

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.sweep.engine import Engine, Outcome
from bnnlab.sweep.events import EpochFinished, Event, RunDied
from bnnlab.sweep.executor import Executor, NoExecutor
from bnnlab.sweep.executor_config import SlurmConfig
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.slurm import FOLDER, SlurmExecutor, open_slurm, parameters

submitit = pytest.importorskip("submitit", reason="submitit is not installed: pip install 'bnnlab[slurm]'")
from submitit.slurm.slurm import _make_sbatch_string  # noqa: E402

FAKE = Path(__file__).parent / "fake_slurm" / "fake_slurm.py"
SBATCH_OPTIONS = {
    "account", "array", "batch", "begin", "bb", "bbf", "chdir", "clusters", "cluster-constraint", "comment", "constraint",
    "container", "container-id", "contiguous", "core-spec", "cores-per-socket", "cpu-freq", "cpus-per-gpu",
    "cpus-per-task", "deadline", "delay-boot", "dependency", "distribution", "error", "exclude", "exclusive", "export",
    "export-file", "extra", "extra-node-info", "get-user-env", "gid", "gpu-bind", "gpu-freq", "gpus", "gpus-per-node",
    "gpus-per-socket", "gpus-per-task", "gres", "gres-flags", "hint", "hold", "ignore-pbs", "input", "job-name",
    "kill-on-invalid-dep", "licenses", "mail-type", "mail-user", "mcs-label", "mem", "mem-bind", "mem-per-cpu",
    "mem-per-gpu", "mincpus", "network", "nice", "no-kill", "no-requeue", "nodefile", "nodelist", "nodes", "ntasks",
    "ntasks-per-core", "ntasks-per-gpu", "ntasks-per-node", "ntasks-per-socket", "open-mode", "output", "overcommit",
    "oversubscribe", "parsable", "partition", "power", "prefer", "priority", "profile", "propagate", "qos", "quiet",
    "reboot", "requeue", "reservation", "resv-ports", "segment", "signal", "sockets-per-node", "spread-job", "stepmgr",
    "switches", "test-only", "thread-spec", "threads-per-core", "time", "time-min", "tmp", "tres-bind", "tres-per-task",
    "uid", "usage", "use-min-nodes", "verbose", "wait", "wait-all-nodes", "wckey", "wrap",
}  # fmt: skip
"""Long options of sbatch, from the manual page sbatch(1) of Slurm 24.05."""


# -- what is submitted -----------------------------------------------------------------------------


def options_of(config: SlurmConfig, *, folder: str = "/shared/my runs/.slurm", count: int | None = 4) -> dict[str, str]:
    """Each `#SBATCH` line as sbatch reads it: split as a shell would, options only, none twice."""
    text = _make_sbatch_string(command="python", folder=folder, map_count=count, **parameters(config))
    found: dict[str, str] = {}
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[command:]), "sbatch stops reading at the first command"
    for line in lines[:command]:
        if line.startswith("#SBATCH"):
            words = shlex.split(line.removeprefix("#SBATCH"))
            assert len(words) == 1, line
            name, _, value = words[0].removeprefix("--").partition("=")
            assert name in SBATCH_OPTIONS, line
            assert name not in found, line
            found[name] = value
    return found


def test_the_job_script_of_the_documentation() -> None:
    config = SlurmConfig.model_validate(
        {
            "partition": "gpu",
            "time": "1-08:00:00",
            "cpus": 4,
            "gpus": 1,
            "memory": "32GB",
            "account": "bnn",
            "constraint": "a100|h100",
            "workers": 16,
            "more": {"reservation": "night shift", "mail_type": "FAIL", "exclusive": False},
        }
    )
    assert options_of(config, count=40) == {
        "array": "0-39%16",
        "account": "bnn",
        "constraint": "a100|h100",
        "cpus-per-task": "4",
        "gpus-per-node": "1",
        "job-name": "bnnlab",
        "mail-type": "FAIL",
        "mem": "32G",
        "no-requeue": "",
        "nodes": "1",
        "ntasks-per-node": "1",
        "open-mode": "append",
        "output": "/shared/my runs/.slurm/%A_%a_0_log.out",
        "partition": "gpu",
        "reservation": "night shift",
        "signal": "USR2@90",
        "time": "1920",
    }


words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12)


@settings(max_examples=50)
@given(
    partition=words, account=words, constraint=words, job_name=words, folder=words.filter(lambda w: "%" not in w),
    cpus=st.integers(1, 64), gpus=st.integers(0, 64), count=st.none() | st.integers(2, 1000), time=st.integers(1, 10_000),
    more=st.dictionaries(st.sampled_from(["reservation", "mail-user", "comment", "licenses"]), words | st.just(True)),
)  # fmt: skip
def test_sbatch_reads_what_was_asked_for(
    partition: str, account: str, constraint: str, job_name: str, folder: str, cpus: int, gpus: int, count: int | None,
    time: int, more: dict[str, Any],
) -> None:  # fmt: skip
    config = SlurmConfig.model_validate(
        {
            "partition": partition, "account": account, "constraint": constraint, "job_name": job_name, "cpus": cpus,
            "gpus": gpus, "time": time, "more": more,
        }
    )  # fmt: skip
    found = options_of(config, folder=f"/shared/{folder.replace('/', '_')}", count=count)
    assert (found["partition"], found["account"], found["constraint"]) == (partition, account, constraint)
    assert (found["job-name"], found["cpus-per-task"], found["time"]) == (job_name, str(cpus), str(time))
    assert found.get("gpus-per-node", "0") == str(gpus)
    assert {name: found[name] for name in more} == {n: "" if value is True else value for n, value in more.items()}


def test_setup_lines_come_before_the_command() -> None:
    text = _make_sbatch_string(
        command="python -m it", folder="/f", **parameters(SlurmConfig(setup=("module load cuda",), srun=False))
    )
    lines = text.splitlines()
    assert lines.index("module load cuda") < lines.index("python -m it")


# -- jobs ------------------------------------------------------------------------------------------


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands of Slurm on the PATH; gives the folder that holds the jobs."""
    # Of each test its own: numbers of jobs begin again, and submitit asks no more about one that it saw end.
    monkeypatch.setattr(submitit.SlurmJob, "watcher", type(submitit.SlurmJob.watcher)(delay_s=600))
    programs, home = tmp_path / "programs", tmp_path / "slurm"
    programs.mkdir()
    home.mkdir()
    for name in ("sbatch", "srun", "sacct", "scancel"):
        program = programs / name
        program.write_text(f'#!/bin/sh\nFAKE_SLURM_AS={name} exec "{sys.executable}" "{FAKE}" "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_SLURM", str(home))
    folders = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]))
    return home


class Hook:
    """Does something once, when a run has an epoch behind it."""

    def __init__(self, act: Callable[[], None] | None) -> None:
        self.act = act

    def tell(self, event: Event) -> None:
        if self.act is not None and isinstance(event, EpochFinished) and event.epoch.index >= 1:
            act, self.act = self.act, None
            act()


def slurm_sweep(
    root: Path, runs: list[PlannedRun], *, act: Callable[[], None] | None = None, **policy: Any
) -> tuple[Outcome, Listener]:
    executor = open_slurm(SlurmConfig(poll=1.0), root)
    return engine_sweep(executor, root, runs, act, **policy)


def engine_sweep(
    executor: Executor, root: Path, runs: list[PlannedRun], act: Callable[[], None] | None = None, **policy: Any
) -> tuple[Outcome, Listener]:
    listener = Listener()
    try:
        return Engine(Ledger(root), executor, Execution(), [listener, Hook(act)], quick(**policy)).run(runs), listener
    finally:
        executor.close()


def digests(root: Path, runs: list[PlannedRun]) -> dict[str, str]:
    results = {run.run_key: RunDirectory(root / run.run_key).result() for run in runs}
    return {key: result["provenance"]["weights_sha256"] for key, result in results.items() if result is not None}


def strike(slurm: Path, state: str) -> Callable[[], None]:
    """End every job as Slurm would."""
    sys.path.insert(0, str(FAKE.parent))
    os.environ["FAKE_SLURM"] = str(slurm)
    import fake_slurm

    def act() -> None:
        for folder in slurm.glob("[0-9]*"):
            if not (folder / "exit").exists():
                (folder / "state").write_text(state)
                fake_slurm.kill(folder)

    return act


@pytest.mark.slow
def test_one_array_with_the_same_results_as_here(slurm: Path, tmp_path: Path) -> None:
    runs = little_runs(3)
    sweep(tmp_path / "here", runs)

    outcome, _ = slurm_sweep(tmp_path / "runs", runs)

    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert digests(tmp_path / "runs", runs) == digests(tmp_path / "here", runs)
    assert sorted(folder.name for folder in slurm.glob("[0-9]*")) == ["1_0", "1_1", "1_2"]
    left = {path.name for path in (tmp_path / "runs" / FOLDER).iterdir() if not path.name.startswith(".")}
    assert left == {"1_submission.sh"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("TIMEOUT", "its process was lost: Slurm job 1 reached its time limit"),
        ("NODE_FAIL", "its process was lost: node node7 failed under Slurm job 1"),
        ("OUT_OF_MEMORY", "its process was killed because the machine, or its share of it, was out of memory"),
    ],
)
def test_a_job_that_slurm_ends_goes_on_in_another(slurm: Path, tmp_path: Path, state: str, words: str) -> None:
    runs = little_runs(1, epochs=40)
    outcome, listener = slurm_sweep(tmp_path / "runs", runs, act=strike(slurm, state))

    assert outcome.trained == [runs[0].run_key]
    assert [event.reason for event in listener.events if isinstance(event, RunDied)] == [words]
    assert [event.epoch.index for event in listener.events if isinstance(event, EpochFinished)] == list(range(40))
    assert RunDirectory(tmp_path / "runs" / runs[0].run_key).attempts() == 2
    assert len(list(slurm.glob("[0-9]*"))) == 2


@pytest.mark.slow
def test_a_time_limit_too_short_for_one_epoch_is_a_failure(slurm: Path, tmp_path: Path) -> None:
    runs = little_runs(1)
    (slurm / "hold").touch()

    executor = open_slurm(SlurmConfig(poll=1.0), tmp_path / "runs")
    waited = executor.wait

    def wait(timeout_s: float) -> None:
        waited(timeout_s)
        strike(slurm, "TIMEOUT")()

    executor.wait = wait  # type: ignore[method-assign]
    outcome, _ = engine_sweep(executor, tmp_path / "runs", runs, retries=1)

    assert outcome.failed[runs[0].run_key].kind == "died"
    assert outcome.failed[runs[0].run_key].cause == (
        "its process was lost: Slurm job 2 reached its time limit; 2 attempts in a row failed"
    )


def test_what_sbatch_refuses_is_told_in_its_words(slurm: Path, tmp_path: Path) -> None:
    (slurm / "refuse").write_text("sbatch: error: invalid partition specified: gpu")
    runs = little_runs(2)
    outcome, _ = slurm_sweep(tmp_path / "runs", runs, retries=0)
    assert {failure.cause for failure in outcome.failed.values()} == {
        "its process was lost: it could not be submitted: sbatch: error: invalid partition specified: gpu"
    }


def test_without_slurm_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoExecutor, match="no Slurm here: sbatch, srun, scancel not found"):
        open_slurm(SlurmConfig(), tmp_path / "runs")


def test_waiting_in_the_queue_is_no_hang_and_ctrl_c_cancels(slurm: Path, tmp_path: Path) -> None:
    (slurm / "hold").touch()
    runs = little_runs(2)
    executor = open_slurm(SlurmConfig(poll=1.0), tmp_path / "runs")
    jobs = []
    for run in runs:
        directory = RunDirectory(tmp_path / "runs" / run.run_key)
        directory.create(run.config)
        jobs.append(executor.submit(directory.path, Execution()))
    executor.wait(2.5)
    assert [(job.started, job.poll()) for job in jobs] == [(False, None)] * 2

    for job in jobs:
        job.cancel()
    deadline = time.monotonic() + 30
    while any(job.poll() is None for job in jobs):
        assert time.monotonic() < deadline
        executor.wait(0.2)

    assert {(folder / "state").read_text() for folder in slurm.glob("[0-9]*")} == {"CANCELLED by 1000"}
    assert [str(job.poll()) for job in jobs] == [f"was lost: Slurm job 1_{i} was cancelled" for i in range(2)]
    assert RunDirectory(tmp_path / "runs" / runs[0].run_key).state() is RunState.PENDING


@pytest.mark.slow
def test_a_new_coordinator_adopts_the_jobs_of_one_that_was_killed(slurm: Path, tmp_path: Path) -> None:
    (slurm / "hold").touch()
    runs = little_runs(2)
    killed = open_slurm(SlurmConfig(poll=1.0), tmp_path / "runs")
    for run in runs:
        directory = RunDirectory(tmp_path / "runs" / run.run_key)
        directory.create(run.config)
        killed.submit(directory.path, Execution())
    killed.wait(0.1)  # submitted; and then it is gone without a word
    assert len(list(slurm.glob("[0-9]*"))) == 2
    (slurm / "hold").unlink()

    outcome, _ = slurm_sweep(tmp_path / "runs", runs)

    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert len(list(slurm.glob("[0-9]*"))) == 2, "no run was submitted twice"
    assert {RunDirectory(tmp_path / "runs" / run.run_key).attempts() for run in runs} == {1}


@pytest.mark.slow
def test_a_python_that_cannot_begin_says_why(slurm: Path, tmp_path: Path) -> None:
    runs = little_runs(1)
    executor = open_slurm(SlurmConfig(poll=1.0, python="python3 -S -E -s"), tmp_path / "runs")
    outcome, _ = engine_sweep(executor, tmp_path / "runs", runs, retries=0)
    cause = outcome.failed[runs[0].run_key].cause
    assert re.fullmatch(r"its process was lost: Slurm job 1 failed: .*No module named '?submitit.*", cause)


@pytest.mark.slow
def test_through_submitit_s_local_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    runs = little_runs(2)
    sweep(tmp_path / "here", runs)
    cluster = submitit.LocalExecutor(tmp_path / "jobs")
    cluster.update_parameters(timeout_min=10)
    executor = SlurmExecutor(cluster, SlurmConfig(poll=1.0, workers=2), tmp_path / "jobs", lambda: None)

    outcome, _ = engine_sweep(executor, tmp_path / "runs", runs)

    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert digests(tmp_path / "runs", runs) == digests(tmp_path / "here", runs)
