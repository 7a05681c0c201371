"""`bnnlab sync`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnnlab.cli.app import Profile, Seeds, Sets

if TYPE_CHECKING:
    from bnnlab.sweep.ledger import Ledger, SavedPlan
    from bnnlab.sweep.plan import Plan
    from bnnlab.sweep.search.spec import Search


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab sync studies/scaling_ablation.yaml")(sync)


def sync(
    spec: Annotated[
        Path | None,
        typer.Argument(metavar="[SPEC]", help="A file of studies/ or sweeps/; all plans swept here if left out."),
    ] = None,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 where MLflow differs.")] = False,
) -> None:
    """Make MLflow match the ledger: after an outage, on a new server, for runs trained elsewhere."""
    from bnnlab.cli.output import say
    from bnnlab.cli.results import after_sweep
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec
    from bnnlab.tracking.claim import PlanIsKept
    from bnnlab.tracking.comparison import differences
    from bnnlab.tracking.store import open_client, reason, tracking_uri
    from bnnlab.tracking.sync import sync_plan

    project = find_project()
    ledger = Ledger(project.ledger)
    plans = (
        [_plan_of(read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds), ledger)]
        if spec is not None
        else list(ledger.saved_plans())
    )
    if not plans:
        say(f"nothing to bring over: no plan has been swept in {project.root}")
        return
    failed = False
    for plan in plans:
        try:
            if check:
                found = differences(open_client(project), ledger, plan)
                failed = failed or bool(found)
                say(f"{plan.study} ({plan.profile}, plan {plan.plan_id}): {len(found) or 'no'} differences")
                for sentence in found:
                    say(f"  {sentence}")
                continue
            count = sync_plan(project, ledger, plan, after_sweep)
            ledger.set_projected(plan.plan_id, tracking_uri(project))
            say(f"{plan.study} ({plan.profile}, plan {plan.plan_id}): {count} runs are in MLflow as in the ledger")
        except PlanIsKept:
            say(f"{plan.study} ({plan.profile}, plan {plan.plan_id}): a sweep that is running keeps MLflow up to date")
        except Exception as error:
            from bnnlab.cli.app import settings

            if settings.debug:
                raise
            failed = True
            say(f"{plan.study} ({plan.profile}): MLflow at {tracking_uri(project)} cannot be written: {reason(error)}")
    if failed and check:
        say("`bnnlab sync` brings over what MLflow lacks.")
        raise typer.Exit(1)
    if failed:
        say("The ledger is complete; run `bnnlab sync` again when the store can be reached.")
        raise typer.Exit(1)


def _plan_of(asked: Plan | Search, ledger: Ledger) -> Plan | SavedPlan:
    from bnnlab.sweep.plan import Plan

    if isinstance(asked, Plan):
        return asked
    from bnnlab.cli.search_reporting import saved_search_plan

    return saved_search_plan(asked, ledger)
