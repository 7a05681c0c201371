"""`bnnlab plan`."""

from __future__ import annotations

import typer

from bnnlab.cli.app import Json, Profile, Seeds, Sets, SpecPath


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab plan studies/scaling_ablation.yaml --profile cifar10")(plan)


def plan(spec: SpecPath, profile: Profile = None, set_: Sets = None, seeds: Seeds = None, json: Json = False) -> None:
    """Show the runs that a spec would start and those it has already; start none."""
    from bnnlab.cli.output import print_json
    from bnnlab.cli.tables import plan_table
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.plan import Plan
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec

    planned = read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds)
    if not isinstance(planned, Plan):
        from bnnlab.cli.search_tables import show_search

        show_search(planned, json=json)
        return
    ledger = Ledger(find_project().ledger)
    standings = ledger.standings(run.run_key for run in planned.all_runs)
    states = {key: standing.state.value for key, standing in standings.items()}
    if not json:
        plan_table(planned, states)
        return
    print_json(
        {
            "study": planned.study,
            "profile": planned.profile,
            "plan": planned.plan_id,
            "runs": (
                {
                    "run_key": run.run_key,
                    "cell": run.cell,
                    "seed": run.seed,
                    "axes": dict(run.axes),
                    "state": states[run.run_key],
                    "config": run.config.as_json(),
                }
                for run in planned.all_runs
            ),
        }
    )
