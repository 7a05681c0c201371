"""Pilots: a few steps of each kind of work that no finished run tells the time of."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from bnnlab.cli.output import duration, say
from bnnlab.sweep.estimate import estimate
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.samples import Sample
from bnnlab.sweep.standing import Standing


def run_pilots(plan: Plan, standings: Mapping[str, Standing], ledger: Ledger) -> None:
    """Measure what is not known, and remember it in the ledger. A kind that cannot be measured is told, and left."""
    unknown = estimate(plan.all_runs, standings, ledger.samples(), 1).unknown
    if not unknown:
        say("every kind of work has been measured before")
        return
    from bnnlab.data.errors import DataError
    from bnnlab.experiment.execution import Execution
    from bnnlab.experiment.pilot import measure

    for number, run in enumerate(unknown, 1):
        try:
            found = measure(run.config, Execution(threads=1))
        except DataError as error:
            say(f"pilot {number} of {len(unknown)}, {run.label}: {error}")
            continue
        except (RuntimeError, MemoryError) as error:  # such as a network that does not fit into memory
            say(f"pilot {number} of {len(unknown)}, {run.label}: {str(error).splitlines()[0]}")
            continue
        ledger.save_pilot(
            run.config, Sample(found.epoch_s, found.setup_s, found.size, socket.gethostname(), is_pilot=True)
        )
        epochs = run.config.training.epochs
        whole = duration(found.setup_s + epochs * found.epoch_s)
        say(
            f"pilot {number} of {len(unknown)}, {run.label}: {found.epoch_s:.2f} s an epoch "
            f"({found.steps} steps timed), {whole} for {epochs} epochs"
        )
