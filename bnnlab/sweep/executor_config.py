"""Where runs are trained, as a user says it in a small YAML file. No run key depends on it.

# cluster.yaml
slurm: {partition: gpu, time: "8:00:00", cpus: 4, gpus: 1, memory: 32GB}
ray: {address: "head:6379", cpus: 2, gpus: 0.5}
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from bnnlab.sweep.document import load_document
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import SpecError
from bnnlab.values import Frozen

_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
OURS = {
    "array", "chdir", "cpus-per-task", "error", "gpus-per-node", "input", "job-name", "mem", "nodes", "no-requeue",
    "ntasks", "ntasks-per-node", "open-mode", "output", "partition", "requeue", "time", "wrap",
}  # fmt: skip
"""Options of sbatch that bnnlab sets itself, or that would break what it relies on."""


def _memory(value: str) -> str:
    if not re.fullmatch(r"[1-9]\d*(KB|MB|GB|TB)", value):
        raise ValueError(f"must be a number and a unit (KB, MB, GB, TB), such as 32GB, not '{value}'")
    return value


def _time(value: int | str) -> int | str:
    text = str(value)
    if not re.fullmatch(r"[1-9]\d*|\d+:\d\d(:\d\d)?|\d+-\d\d?(:\d\d){0,2}", text):
        raise ValueError(f"must be minutes, H:MM:SS or D-HH:MM:SS, not '{text}'")
    if minutes(value) < 1:
        raise ValueError(f"must be at least a minute, not '{text}'")
    return value


def _more(value: dict[str, Any]) -> dict[str, Any]:
    ours = sorted(OURS & {key.replace("_", "-") for key in value})
    if ours:
        raise ValueError(f"bnnlab sets {', '.join(ours)} itself")
    return value


def minutes(time: int | str) -> int:
    """Whole minutes of a time as sbatch takes it, rounded up.

    >>> [minutes(time) for time in (90, "90", "1:30", "8:00:00", "1-12", "2-00:30:01")]
    [90, 90, 2, 480, 2160, 2911]
    """
    days, dash, rest = str(time).rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        parts += [0] * (3 - len(parts))  # D-HH, D-HH:MM
    elif len(parts) == 1:
        parts = [0, parts[0], 0]  # minutes
    elif len(parts) == 2:
        parts = [0, *parts]  # MM:SS
    seconds = int(days or 0) * 86_400 + parts[0] * 3600 + parts[1] * 60 + parts[2]
    return -(-seconds // 60)


def in_bytes(memory: str) -> int:
    """>>> in_bytes("2GB")
    2147483648
    """
    return int(memory[:-2]) * _UNITS[memory[-2:]]


Memory = Annotated[str, AfterValidator(_memory)]
Time = Annotated[int | str, AfterValidator(_time)]
Word = Annotated[str, Field(min_length=1)]


class LocalConfig(Frozen):
    """This machine."""

    workers: int | None = Field(default=None, ge=1)
    """Runs side by side. Left out: one a core (fewer with more threads each), or what the GPUs take."""
    gpus: tuple[int | str, ...] | None = None
    """Numbers or UUIDs of the GPUs to use; all that are visible if left out, none if empty."""
    runs_per_gpu: int = Field(default=1, ge=1)


class SlurmConfig(Frozen):
    """A job a run, through sbatch. The project folder must be on a file system that all nodes share."""

    workers: int = Field(default=100, ge=1)
    """Jobs in the queue and running at once."""
    partition: Word | None = None
    time: Time = 240
    """Limit of a job: minutes, H:MM:SS or D-HH:MM:SS. A run that needs longer goes on in another job."""
    cpus: int = Field(default=2, ge=1)
    gpus: int = Field(default=0, ge=0, le=64)
    """Of each job; more than one for `--devices`."""
    memory: Memory | None = None
    account: Word | None = None
    qos: Word | None = None
    constraint: Word | None = None
    nodelist: Word | None = None
    exclude: Word | None = None
    job_name: Word = "bnnlab"
    setup: tuple[str, ...] = ()
    """Lines of shell that each job runs first: "module load cuda", "source /shared/venv/bin/activate"."""
    python: Word | None = None
    """The command that is Python on the nodes; the one that runs bnnlab here if left out."""
    srun: bool = True
    """Whether a job starts its process with srun."""
    more: Annotated[dict[str, str | int | bool], AfterValidator(_more)] = Field(default_factory=dict)
    """Any other option of sbatch: {reservation: night, mail-type: FAIL}."""
    poll: float = Field(default=15.0, ge=1)
    """Seconds between two questions to Slurm, one for all jobs together."""


class RayConfig(Frozen):
    """A cluster of Ray."""

    address: Word | None = None
    """`auto`, HOST:PORT or ray://HOST:10001; a Ray of its own on this machine if left out."""
    workers: int | None = Field(default=None, ge=1)
    """Runs side by side; what the nodes have room for if left out. A cluster that grows by itself needs it."""
    cpus: float = Field(default=1.0, ge=0)
    gpus: float = Field(default=0.0, ge=0, le=64)
    """Of each run; 0.25 puts four runs on a GPU; more than one, and then a whole number, for `--devices`."""
    memory: Memory | None = None
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources that a run needs: {bigdisk: 1}."""
    shared_file_system: bool = False
    """Whether every node sees the project folder at the same path. Otherwise the run directories travel."""
    runtime_env: dict[str, Any] = Field(default_factory=dict)
    """As Ray takes it: {pip: [...], env_vars: {...}, working_dir: ...}."""
    scratch: Path | None = None
    """Folder of a node where run directories lie that travel; the one for temporary files if left out."""


class ExecutorConfig(Frozen):
    """A section for each executor; the others are read, so that mistakes in them are told, and do nothing."""

    local: LocalConfig = LocalConfig()
    slurm: SlurmConfig = SlurmConfig()
    ray: RayConfig = RayConfig()


ExecutorName = Literal["local", "slurm", "ray"]


def read_executor_config(path: Path) -> ExecutorConfig:
    """Raises SpecError with every mistake at its place."""
    tree = load_document(path)
    try:
        return ExecutorConfig.model_validate(tree.plain())
    except ValidationError as error:
        raise SpecError(explain(error, tree, ExecutorConfig)) from None
