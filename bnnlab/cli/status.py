"""`bnnlab status`."""

from __future__ import annotations

import typer

from bnnlab.cli.app import Json, Profile, Seeds, Sets, SpecPath


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab status studies/scaling_ablation.yaml")(status)


def status(spec: SpecPath, profile: Profile = None, set_: Sets = None, seeds: Seeds = None, json: Json = False) -> None:
    """Show where a sweep stands, also while it runs in another terminal."""
    from collections import Counter

    from bnnlab.cli.output import print_json
    from bnnlab.cli.tables import status_table
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.plan import Plan
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec

    planned = read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds)
    if not isinstance(planned, Plan):
        from bnnlab.cli.search_tables import search_status

        search_status(planned, json=json)
        return
    ledger = Ledger(find_project().ledger)
    standings = ledger.standings(run.run_key for run in planned.all_runs)
    counts = Counter(standing.state.value for standing in standings.values())
    if not json:
        status_table(planned, standings, counts)
        return
    print_json(
        {
            "study": planned.study,
            "profile": planned.profile,
            "plan": planned.plan_id,
            "counts": dict(counts),
            "runs": [
                {
                    "run_key": run.run_key,
                    "axes": dict(run.axes),
                    "seed": run.seed,
                    "state": standings[run.run_key].state.value,
                    "epoch": standings[run.run_key].epochs,
                    "epochs": run.config.training.epochs,
                    "metrics": dict(standings[run.run_key].metrics or standings[run.run_key].last or {}),
                    "cause": standings[run.run_key].cause,
                }
                for run in planned.all_runs
            ],
        }
    )
