"""From what a user asked for to an executor. What cannot be had says so before anything is started."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

from bnnlab.experiment.execution import Execution, cores
from bnnlab.sweep.executor import Executor, NoExecutor
from bnnlab.sweep.executor_config import ExecutorConfig, ExecutorName, LocalConfig
from bnnlab.sweep.gpus import torch_has_cuda, visible_gpus
from bnnlab.sweep.local import LocalExecutor

EXTRAS = {"slurm": "submitit", "ray": "ray"}
"""Executors that need an extra, and the library that it brings."""
_INSTEAD = {
    "ray": "with ray, `ray: {gpus: 0.25}` in --executor-config puts four runs on a GPU",
    "slurm": "with slurm, a job has its GPUs for itself",
}


@dataclass(frozen=True)
class ExecutorChoice:
    """Which executor, with which settings."""

    name: ExecutorName = "local"
    config: ExecutorConfig = field(default_factory=ExecutorConfig)

    @classmethod
    def of(
        cls,
        name: ExecutorName,
        config: ExecutorConfig,
        *,
        workers: int | None = None,
        runs_per_gpu: int | None = None,
        address: str | None = None,
    ) -> ExecutorChoice:
        """What the command line says goes before what the file says. Raises NoExecutor for an option of another one."""
        if runs_per_gpu is not None and name != "local":
            raise NoExecutor(f"--runs-per-gpu is of --executor local; {_INSTEAD[name]}")
        if address is not None and name != "ray":
            raise NoExecutor("--address is of --executor ray")
        given = {"workers": workers, "runs_per_gpu": runs_per_gpu, "address": address}
        section = getattr(config, name).model_copy(update={key: v for key, v in given.items() if v is not None})
        return cls(name, config.model_copy(update={name: section}))

    def require(self) -> None:
        """Raises NoExecutor where the library is missing that this executor stands on."""
        library = EXTRAS.get(self.name)
        if library is not None and importlib.util.find_spec(library) is None:
            raise NoExecutor(f"--executor {self.name} needs {library}:  pip install 'bnnlab[{self.name}]'")

    def open(self, ledger: Path, execution: Execution) -> Executor:
        """The executor, ready to take runs of the ledger in this folder. Raises NoExecutor."""
        self.require()
        if self.name != "local":
            self._check_devices(execution)
        if self.name == "slurm":
            from bnnlab.sweep.slurm import open_slurm

            return open_slurm(self.config.slurm, ledger)
        if self.name == "ray":
            from bnnlab.sweep.ray_cluster import open_ray

            return open_ray(self.config.ray, execution)
        return open_local(self.config.local, execution)

    def _check_devices(self, execution: Execution) -> None:
        """What Slurm or Ray gives to each run has to be what it trains on."""
        device, together = execution.device, execution.devices
        given = getattr(self.config, self.name).gpus
        if re.fullmatch(r"cuda:\d+", device):
            raise NoExecutor(f"--device {device} is of --executor local; with {self.name} a run sees only its own GPU")
        if device == "cuda" and given == 0:
            wanted = f"`{self.name}: {{gpus: {together}}}` in --executor-config"
            raise NoExecutor(f"--device cuda needs GPUs for each run: {wanted}")
        if device != "cpu" and max(given, 1) != together and given > 0:
            raise NoExecutor(
                f"a run has {given:g} GPUs by `{self.name}: {{gpus: {given:g}}}` in --executor-config"
                f" and trains on {together} by --devices: the two must be alike"
            )


def open_local(config: LocalConfig, execution: Execution) -> LocalExecutor:
    """Raises NoExecutor where a GPU is asked for that is not here."""
    gpus = _gpus(config, execution.device)
    if gpus:
        together = _groups(gpus, execution.devices)
        return LocalExecutor(config.workers, gpus=together, runs_per_gpu=config.runs_per_gpu)
    return LocalExecutor(config.workers or max(1, cores() // (execution.threads * execution.devices)))


def _groups(gpus: tuple[str, ...], size: int) -> tuple[str, ...]:
    """GPUs that train a run together, each group as CUDA_VISIBLE_DEVICES names it; a last one too small is left."""
    if len(gpus) < size:
        raise NoExecutor(f"no {size} GPUs for --devices {size}; these are to be had: {', '.join(gpus)}")
    return tuple(",".join(gpus[start : start + size]) for start in range(0, len(gpus) - size + 1, size))


def _gpus(config: LocalConfig, device: str) -> tuple[str, ...]:
    """The GPUs that runs are dealt to; none where they train on the CPU, or where each has to see for itself."""
    wants_cuda = device.startswith("cuda")
    if not wants_cuda and (device != "auto" or not torch_has_cuda()):
        return ()
    visible = visible_gpus()
    if config.gpus is not None:
        chosen = tuple(str(name) for name in config.gpus)
        # A number is a place in the list, as in torch; what CUDA_VISIBLE_DEVICES hides cannot be had.
        names = [visible[int(name)] if name.isdigit() and int(name) < len(visible) else name for name in chosen]
        unknown = [name for name in names if name not in visible]
        if unknown:
            raise NoExecutor(f"no GPU {', '.join(unknown)} here; visible: {', '.join(visible) or 'none'}")
        visible = tuple(names)
    if number := re.fullmatch(r"cuda:(\d+)", device):
        if not visible:
            return ()
        if int(number[1]) >= len(visible):
            raise NoExecutor(f"no GPU {number[1]} for --device {device}; visible: {', '.join(visible)}")
        return (visible[int(number[1])],)
    return visible
