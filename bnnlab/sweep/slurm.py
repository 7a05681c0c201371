"""Runs as jobs of Slurm, submitted by submitit. Imports submitit only when it is opened.

What is submitted in one go becomes one job array. Slurm never requeues a job of ours: each end is final, and the
engine submits a run again that is not finished, which then goes on after its last epoch. So a time limit shorter than
a run costs a part of an epoch, and nothing else.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.files import read_json, write_json
from bnnlab.sweep.executor import TAKEN, Exit, Job, NoExecutor
from bnnlab.sweep.executor_config import SlurmConfig, minutes
from bnnlab.sweep.worker import train_on_node

FOLDER = ".slurm"
"""In the ledger: submitit's files, and which job has which run."""
LARGEST_ARRAY = 1000
"""Slurm's default for MaxArraySize is 1001."""
LOOK_EVERY_S = 1.0
GRACE_S = 15.0
"""A file written on a node may be seen so much later here; and sacct may not know a job so long after sbatch."""
KILLED = Exit(-9)

QUEUED = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SUSPENDED"}
AT_WORK = {"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
ENDS = {
    "TIMEOUT": "Slurm job {job} reached its time limit",
    "DEADLINE": "Slurm job {job} reached its deadline",
    "NODE_FAIL": "node {node} failed under Slurm job {job}",
    "BOOT_FAIL": "node {node} did not boot for Slurm job {job}",
    "LAUNCH_FAILED": "Slurm job {job} could not be launched on node {node}",
    "CANCELLED": "Slurm job {job} was cancelled",
    "PREEMPTED": "Slurm job {job} was preempted",
    "REVOKED": "Slurm job {job} was revoked",
    "FAILED": "Slurm job {job} failed: {words}",
    "SPECIAL_EXIT": "Slurm job {job} failed: {words}",
    "COMPLETED": "Slurm job {job} ended without a word: {words}",
}
"""States of a job that has ended, as squeue(1) names them, and what they mean for its run."""


def open_slurm(config: SlurmConfig, ledger: Path) -> SlurmExecutor:
    """Raises NoExecutor where this machine cannot submit jobs."""
    import submitit

    missing = [name for name in ("sbatch", "srun", "scancel") if shutil.which(name) is None]
    if missing:
        raise NoExecutor(f"no Slurm here: {', '.join(missing)} not found; start the sweep on a login node")
    logging.getLogger("submitit").setLevel(logging.ERROR)
    folder = (ledger / FOLDER).resolve()
    cluster = submitit.SlurmExecutor(folder, max_num_timeout=0, python=config.python)
    cluster.update_parameters(**parameters(config))
    return SlurmExecutor(cluster, config, folder, submitit.SlurmJob.watcher.update)


def parameters(config: SlurmConfig) -> dict[str, Any]:
    """The settings in submitit's words."""
    ours = {
        "job_name": config.job_name,
        "time": minutes(config.time),
        "nodes": 1,
        "ntasks_per_node": 1,
        "cpus_per_task": config.cpus,
        "gpus_per_node": config.gpus or None,
        "mem": config.memory and config.memory.removesuffix("B"),
        "partition": config.partition,
        "account": config.account,
        "qos": config.qos,
        "constraint": config.constraint,
        "nodelist": config.nodelist,
        "exclude": config.exclude,
        "setup": list(config.setup) or None,
        "use_srun": config.srun,
        "stderr_to_stdout": True,
        "array_parallelism": config.workers,
        "wckey": None,  # submitit's own would be refused where wckeys are tracked
    }
    more = {name.replace("_", "-"): value for name, value in config.more.items() if value is not False}
    return {**ours, "additional_parameters": {"no-requeue": True, **more}}


class SlurmExecutor:
    """A job a run. `refresh` asks Slurm about all jobs at once; `cluster` is an executor of submitit."""

    def __init__(self, cluster: Any, config: SlurmConfig, folder: Path, refresh: Callable[[], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._cluster = cluster
        self._config = config
        self._folder = folder
        self._refresh = refresh
        self._jobs: list[SlurmJob] = []
        self._looked = float("-inf")
        self._asked = float("-inf")

    @property
    def slots(self) -> int:
        return self._config.workers

    def submit(self, path: Path, execution: Execution) -> SlurmJob:
        """The job is submitted with all others of this moment, when `wait` is called."""
        job = SlurmJob(path.resolve(), execution, self._folder / f"{path.name}.json")
        self._jobs.append(job)
        return job

    def wait(self, timeout_s: float) -> None:
        self._hand_over([job for job in self._jobs if job.handle is None and job.poll() is None])
        deadline = time.monotonic() + timeout_s
        while True:
            self._look()
            ended = [job for job in self._jobs if job.poll() is not None]
            self._jobs = [job for job in self._jobs if job.poll() is None]
            left = deadline - time.monotonic()
            if ended or left <= 0:
                return
            time.sleep(min(left, 0.1))

    def lower(self, job: Job) -> str:
        return ""  # a job has the memory that it was given, whoever runs beside it

    def close(self) -> None:
        for job in self._jobs:
            job.cancel()
        self._jobs.clear()

    def _hand_over(self, jobs: Sequence[SlurmJob]) -> None:
        """Submit jobs as one array, but for those that an earlier coordinator has submitted: these are adopted."""
        noted = {job: self._handle(note) for job in jobs if isinstance(note := read_json(job.note), dict)}
        if noted:
            self._refresh()
        for job, handle in noted.items():
            if handle is not None and _state(handle) in QUEUED | AT_WORK:
                job.handle = handle
        fresh = [job for job in jobs if job.handle is None]
        for first in range(0, len(fresh), LARGEST_ARRAY):
            batch = fresh[first : first + LARGEST_ARRAY]
            try:
                handles = self._cluster.submit_array([job.task for job in batch])
            except Exception as error:  # submitit raises what it likes; it quotes sbatch
                words = _last_line(str(error)) or type(error).__name__
                for job in batch:
                    job.end(Exit(None, lost=f"it could not be submitted: {words}"))
                continue
            for job, handle in zip(batch, handles, strict=True):
                job.handle = handle
                with suppress(OSError):
                    write_json(job.note, {"job": handle.job_id, "submitted": time.time()})

    def _handle(self, note: dict[str, Any]) -> Any:
        job_id = note.get("job")
        return self._cluster.job_class(self._folder, job_id) if isinstance(job_id, str) else None

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S or not self._jobs:
            return
        self._looked = now
        hurry = any(job.is_cancelled for job in self._jobs)
        if hurry or now - self._asked >= self._config.poll:
            self._asked = now
            self._refresh()
        for job in self._jobs:
            job.look()


class SlurmJob:
    """One run, and the job that it is or was."""

    def __init__(self, path: Path, execution: Execution, note: Path) -> None:
        self.task = partial(train_on_node, str(path), execution.model_dump_json())
        self.note = note
        self.handle: Any = None
        """submitit's; None until the job is submitted."""
        self.started = False
        self.is_cancelled = False
        self._directory = RunDirectory(path)
        self._pulse = self._directory.pulse()
        self._exit: Exit | None = None
        self._ended_at: float | None = None

    def poll(self) -> Exit | None:
        return self._exit

    def cancel(self) -> None:
        if self._exit is not None or self.is_cancelled:
            return
        self.is_cancelled = True
        if self.handle is None:
            self.end(KILLED)
        else:
            with suppress(OSError):
                self.handle.cancel(check=False)

    def look(self) -> None:
        """Take note of how things stand."""
        if self._exit is not None or self.handle is None:
            return
        if self.handle.paths.result_pickle.exists():
            self.end(self._said())
            return
        state = _state(self.handle)
        # Where sacct knows nothing, the heartbeat does.
        self.started = state in AT_WORK or (state not in QUEUED and self._directory.pulse() != self._pulse)
        if state == "OUT_OF_MEMORY":
            self.end(Exit(None, out_of_memory=True))
        elif state in ENDS or state in LOCAL_ENDS:
            now = time.monotonic()
            self._ended_at = self._ended_at or now
            # What it said last may be on its way still, and then says more than Slurm does.
            if self.is_cancelled or state != "COMPLETED" or now - self._ended_at >= GRACE_S:
                self.end(Exit(None, lost=self._became(state)))

    def end(self, exit_: Exit) -> None:
        """Note how it ended."""
        self._exit = self._exit or exit_
        self.note.unlink(missing_ok=True)
        if self.handle is not None and exit_.code in (0, TAKEN):
            for path in (self.handle.paths.submitted_pickle, self.handle.paths.result_pickle, self.handle.paths.stdout):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _said(self) -> Exit:
        """What its process gave back."""
        try:
            return Exit(int(self.handle.result()))
        except Exception as error:  # it could not even begin: the words are those of a traceback
            return Exit(None, lost=f"Slurm job {self.handle.job_id} failed: {_last_line(str(error))}")

    def _became(self, state: str) -> str:
        node = self.handle.get_info(mode="cache").get("NodeList") or "unknown"
        text = ENDS.get(state, "job {job} ended: {words}")
        return text.format(job=self.handle.job_id, node=node, words=_last_line(self.handle.stdout() or "") or state)


LOCAL_ENDS = {"FINISHED", "INTERRUPTED"}
"""The same of submitit's executor for one machine."""


def _state(handle: Any) -> str:
    """ "CANCELLED by 1000" is CANCELLED; "CANCELLED+" too."""
    words = str(handle.state).split()
    return words[0].rstrip("+").upper() if words else "UNKNOWN"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip(" -")]
    return lines[-1] if lines else ""
