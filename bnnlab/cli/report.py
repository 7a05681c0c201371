"""`bnnlab report`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json, Profile, Seeds, Sets, SpecPath

NOT_UPHELD = 3


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab report studies/scaling_ablation.yaml")(report)


def report(
    spec: SpecPath,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    json: Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 where a claim is contradicted or cannot be judged.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the page on the loopback address; it follows the sweep.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port for --watch; 0 takes a free one.")] = 0,
) -> None:
    """Answer a spec's question from what is recorded: tables here, a page with figures under reports/."""
    from bnnlab.cli.output import print_json, say
    from bnnlab.cli.reporting import find_dashboard, make_report, write_report
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec

    plan = read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds)
    project = find_project()
    ledger = Ledger(project.ledger)
    find_dashboard(plan)
    if watch:
        from bnnlab.report.watch import ReportServer

        server = ReportServer(lambda live: make_report(plan, ledger).html(live), port=port)
        say(f"the report of {plan.study}: {server.url}  (Ctrl-C ends it)")
        try:
            server.serve()
        except KeyboardInterrupt:
            raise typer.Exit(0) from None
    made = make_report(plan, ledger)
    if json:
        print_json(made.json())
    else:
        from rich.console import Console

        console = Console()
        for part in made.terminal():
            console.print(part, highlight=False)
    say(f"the page: {write_report(made, project, plan)}")
    if check and made.open_claims:
        for judgement in made.open_claims:
            say(f"not upheld: {judgement.claim.id}: {judgement.verdict}: {judgement.reason}")
        raise typer.Exit(NOT_UPHELD)
