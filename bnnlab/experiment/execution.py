"""How a run is carried out, as opposed to what it is: nothing in here changes a run key. Free of torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from bnnlab.values import Frozen


class Execution(Frozen):
    """Where and how a run trains on this machine."""

    threads: int = Field(default=1, ge=1)
    """Threads of this run's process. One for small runs: several runs side by side use a machine better."""
    device: str = Field(default="auto", pattern=r"auto|cpu|cuda(:\d+)?|mps")
    data_root: Path | None = None
    """Where to look for data sets first."""
    loader_workers: int = Field(default=0, ge=0)
    """Processes that decode images, for the data sets that do not fit in memory."""
    study: str = ""
    """The study on whose behalf this run is trained, for its provenance."""
    plan: str = ""
