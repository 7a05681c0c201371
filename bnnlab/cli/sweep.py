"""`bnnlab sweep`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Profile, Seeds, Sets, SpecPath


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab sweep studies/scaling_ablation.yaml")(sweep)


def sweep(
    spec: SpecPath,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side; one a core if left out.", show_default=False)
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Train finished runs again; what was there is put aside.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End the sweep at the first failure.")] = False,
) -> None:
    """Train what a spec asks for and the ledger lacks, log it to MLflow, and answer the spec's question."""
    if dry_run:
        from bnnlab.cli.plan import plan

        plan(spec, profile, set_, seeds, json=False)
        return

    from bnnlab.cli.reporting import find_dashboard
    from bnnlab.cli.sweeping import Choices, run_sweep
    from bnnlab.experiment.execution import Execution
    from bnnlab.sweep.engine import Policy
    from bnnlab.sweep.plan import read_plan

    planned = read_plan(spec, profile=profile, settings=set_ or (), seeds=seeds)
    find_dashboard(planned)  # a mistake in it is to be told now, not after the sweep
    execution = Execution(threads=threads, device=device, study=planned.study, plan=planned.plan_id)
    choices = Choices(workers, execution, Policy(retry_failed=retry_failed, fail_fast=fail_fast), rerun)
    raise typer.Exit(run_sweep(planned, choices))
