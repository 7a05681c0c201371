"""How a run is carried out, as opposed to what it is: nothing in here changes a run key. Free of torch."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, model_validator

from bnnlab.values import Frozen


class Execution(Frozen):
    """Where and how a run trains on this machine."""

    threads: int = Field(default=1, ge=1)
    """Threads of each of this run's processes. One for small runs: several runs side by side use a machine better."""
    device: str = Field(default="auto", pattern=r"auto|cpu|cuda(:\d+)?|mps")
    devices: int = Field(default=1, ge=1)
    """Processes that train one network together, each on a device of its own and with its share of every batch."""
    data_root: Path | None = None
    """Where to look for data sets, and nowhere else; None: in the usual places."""
    loader_workers: int | None = Field(default=None, ge=0)
    """Processes that decode images for each training process, for data sets that do not fit in memory. None: what
    the machine has to spare, see `decoding_processes`."""
    side_by_side: int = Field(default=1, ge=1)
    """Runs that share the machine with this one, itself included."""
    study: str = ""
    """The study on whose behalf this run is trained, for its provenance."""
    plan: str = ""

    @model_validator(mode="after")
    def _devices_are_not_one(self) -> Execution:
        if self.devices > 1 and (":" in self.device or self.device == "mps"):
            raise ValueError(f"{self.devices} devices cannot all be {self.device}; say cuda or cpu")
        return self

    @property
    def decoding_processes(self) -> int:
        """Processes that decode images for each training process.

        By default the cores of this machine but one, divided among all processes that train on it: decoding keeps a
        core busy, and so does training. A process that gets none decodes by itself.
        """
        if self.loader_workers is not None:
            return self.loader_workers
        return (cores() - 1) // (self.side_by_side * self.devices)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
