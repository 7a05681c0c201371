"""What is remembered of a run. A record is immutable and cannot reach back into the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bnnlab.experiment.config import RunConfig


class RunState(StrEnum):
    """Where a run stands, as its directory says; exit codes and tracking states are only hints."""

    PENDING = "pending"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    PRUNED = "pruned"
    FINISHED = "finished"


@dataclass(frozen=True)
class RunRecord:
    """One run as its directory remembers it."""

    run_key: str
    config: RunConfig
    state: RunState
    epochs: tuple[Mapping[str, float], ...] = ()
    """Metrics of each epoch, in order: "train/loss", "train/top1", "val/loss", "val/top1", "lr", "flip_ratio";
    accuracies and ratios are fractions in [0, 1]."""
    metrics: Mapping[str, float] | None = None
    """Final metrics ("test/top1", "test/top1_best", "model/size_mib", ...); None unless FINISHED."""
    cause: str | None = None
    """Why it failed or was pruned, in a sentence; None otherwise."""
    provenance: Mapping[str, str] | None = None
    """Code fingerprint, versions, host, device, study that trained it, time stamps."""
