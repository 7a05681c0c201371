"""`bnnlab plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json, Profile, Seeds, Sets, SpecPath


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab plan studies/scaling_ablation.yaml --profile cifar10")(plan)


def plan(
    spec: SpecPath,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side; one a core if left out.", show_default=False)
    ] = None,
    pilot: Annotated[
        bool, typer.Option("--pilot", help="Train a few steps of what no finished run tells the time of.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the runs that a spec would start, those it has already, and what the rest costs; start none."""
    from bnnlab.cli.costs import as_json, in_words
    from bnnlab.cli.output import print_json
    from bnnlab.cli.tables import plan_table
    from bnnlab.experiment.execution import cores
    from bnnlab.sweep.estimate import estimate
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.plan import Plan
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec

    planned = read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds)
    if not isinstance(planned, Plan):
        from bnnlab.cli.output import say
        from bnnlab.cli.search_tables import show_search

        if pilot:
            say("--pilot estimates what a study costs; this is a search, which its budget ends")
            raise typer.Exit(2)

        show_search(planned, json=json)
        return
    ledger = Ledger(find_project().ledger)
    standings = ledger.standings(run.run_key for run in planned.all_runs)
    states = {key: standing.state.value for key, standing in standings.items()}
    slots = workers or cores()
    if pilot:
        from bnnlab.cli.piloting import run_pilots

        run_pilots(planned, standings, ledger)
    expected = estimate(planned.all_runs, standings, ledger.samples(), slots)
    if not json:
        plan_table(planned, states)
        for line in in_words(expected):
            print(line)
        return
    print_json(
        {
            "study": planned.study,
            "profile": planned.profile,
            "plan": planned.plan_id,
            "estimate": as_json(expected),
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
