"""What runs took, by the kind of work that they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bnnlab.experiment.record import RunState
from bnnlab.sweep.standing import Standing


@dataclass(frozen=True)
class Sample:
    """What one finished run, or one pilot, took."""

    epoch_s: float
    """Seconds an epoch, validation included."""
    setup_s: float
    """Seconds before its first epoch and after its last."""
    size: int
    """Bytes of its directory once it is finished."""
    host: str
    is_pilot: bool = False


def samples_of(standings: Iterable[Standing]) -> dict[str, list[Sample]]:
    """What finished runs took, by workload."""
    found: dict[str, list[Sample]] = {}
    for standing in standings:
        facts = standing.provenance or {}
        if standing.state is not RunState.FINISHED or not standing.workload or not standing.epochs:
            continue
        try:
            trained = float(facts["training_seconds"])
            whole = float(facts["finished"]) - float(facts["started"])
            host = str(facts["host"])
        except (KeyError, ValueError, TypeError):
            continue
        # Of a run that was interrupted, `started` is the last attempt's: its set-up cannot be told from it.
        setup = max(0.0, whole - trained) if facts.get("attempts") == 1 else 0.0
        found.setdefault(standing.workload, []).append(Sample(trained / standing.epochs, setup, standing.size, host))
    return found
