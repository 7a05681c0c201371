"""`bnnlab sweep`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bnnlab.cli.app import Profile, Seeds, Sets, SpecPath

if TYPE_CHECKING:
    from bnnlab.experiment.config import RunConfig
    from bnnlab.experiment.execution import Execution

ExecutorName = Literal["local", "slurm", "ray"]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab sweep studies/scaling_ablation.yaml")(sweep)


def sweep(
    spec: SpecPath,
    profile: Profile = None,
    set_: Sets = None,
    seeds: Seeds = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Runs side by side; one a core, or what GPUs or cluster take, if left out.", show_default=False
        ),
    ] = None,
    executor: Annotated[ExecutorName, typer.Option(help="Where runs are trained: local, slurm or ray.")] = "local",
    executor_config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help="Partition, time, GPUs a run, ...: docs/clusters.md.", show_default=False),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ray's cluster: auto, HOST:PORT or ray://HOST:10001.", show_default=False)
    ] = None,
    runs_per_gpu: Annotated[
        int | None, typer.Option(min=1, help="Runs side by side on each GPU of this machine.", show_default=False)
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each run.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices that each run trains on together.")] = 1,
    loader_workers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Processes a device that decode images; what cores are free if left out.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try failed runs again.")] = False,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Train finished runs again; what was there is put aside.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="End the sweep at the first failure.")] = False,
    retries: Annotated[
        int, typer.Option(min=0, help="Tries after the first of a run that died, hung or lacked memory or disk.")
    ] = 2,
    backoff: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Pause before the first such try; then it doubles.")
    ] = 1.0,
    hang_timeout: Annotated[
        float, typer.Option(min=5, metavar="SECONDS", help="A run without progress for so long is killed.")
    ] = 900.0,
    stop_after: Annotated[
        int, typer.Option(min=0, help="End the sweep after so many failures in a row that look alike; 0: never.")
    ] = 5,
) -> None:
    """Train what a spec asks for and the ledger lacks, log it to MLflow, and answer the spec's question."""
    if dry_run:
        from bnnlab.cli.plan import plan

        plan(spec, profile, set_, seeds, workers)
        return

    from bnnlab.cli.reporting import find_dashboard
    from bnnlab.cli.sweeping import Choices, run_sweep
    from bnnlab.experiment.record import RunState
    from bnnlab.sweep.engine import Policy
    from bnnlab.sweep.executor_config import ExecutorConfig, read_executor_config
    from bnnlab.sweep.executors import ExecutorChoice
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.plan import Plan
    from bnnlab.sweep.project import find_project
    from bnnlab.sweep.reading import read_spec

    config = read_executor_config(executor_config) if executor_config is not None else ExecutorConfig()
    where = ExecutorChoice.of(executor, config, workers=workers, runs_per_gpu=runs_per_gpu, address=address)
    where.require()
    planned = read_spec(spec, profile=profile, settings=set_ or (), seeds=seeds)
    plan_id = planned.plan_id if isinstance(planned, Plan) else planned.search_id
    runs = len(planned.all_runs) if isinstance(planned, Plan) else planned.budget.trials
    execution = _execution(
        threads=threads,
        device=device,
        devices=devices,
        loader_workers=loader_workers,
        # At most: an executor that takes fewer at once says so itself. A job of Slurm has its cores to itself.
        side_by_side=1 if executor == "slurm" else runs,
        study=planned.study,
        plan=plan_id,
    )
    policy = Policy(retry_failed, fail_fast, retries, backoff, hang_timeout, stop_after)
    choices = Choices(where, execution, policy, rerun)
    if not isinstance(planned, Plan):
        from bnnlab.cli.searching import run_search
        from bnnlab.sweep.search.probe import first_configs

        find_dashboard(planned)  # a mistake in it is to be told now, not after the search
        configs = first_configs(planned)
        _require_shares(configs, devices)
        _require_data(configs)
        raise typer.Exit(run_search(planned, choices))
    find_dashboard(planned)  # a mistake in it is to be told now, not after the sweep
    standings = Ledger(find_project().ledger).standings(run.run_key for run in planned.all_runs)
    unfinished = {key for key, standing in standings.items() if standing.state is not RunState.FINISHED}
    to_train = [run.config for run in planned.all_runs if rerun or run.run_key in unfinished]
    _require_shares(to_train, devices)
    _require_data(to_train)
    raise typer.Exit(run_sweep(planned, choices))


def _execution(**fields: Any) -> Execution:
    """Exit where the options contradict each other."""
    from pydantic import ValidationError

    from bnnlab.cli.output import say
    from bnnlab.experiment.execution import Execution

    try:
        return Execution(**fields)
    except ValidationError as error:
        for mistake in error.errors():
            name = "".join(f"--{part}: " for part in mistake["loc"])
            say(f"{name}{mistake['msg'].removeprefix('Value error, ')}")
        raise typer.Exit(2) from None


def _require_shares(configs: Collection[RunConfig], devices: int) -> None:
    """Exit where runs cannot be trained on several devices."""
    from bnnlab.cli.output import say

    if devices > 1 and any(config.training.compile for config in configs):
        say(f"--devices {devices}: training.compile needs one device: BatchNorm over several cannot be compiled")
        say("nothing was started.")
        raise typer.Exit(2)
    small = {config.training.batch_size for config in configs if config.training.batch_size < 2 * devices}
    if devices > 1 and small:
        say(f"--devices {devices}: BatchNorm needs 2 images a device, and training.batch_size is {min(small)} for all")
        say("nothing was started.")
        raise typer.Exit(2)


def _require_data(configs: Iterable[RunConfig]) -> None:
    """Exit where a data set that is to be trained on is not here: now, not one failed run after another."""
    from bnnlab.cli.output import say
    from bnnlab.data.catalogue import require_present
    from bnnlab.data.errors import DataError

    problems: dict[str, None] = {}
    for data in {config.data.model_dump_json(): config.data for config in configs}.values():
        try:
            require_present(data)
        except DataError as error:
            problems[str(error)] = None
    for problem in problems:
        say(problem)
    if problems:
        say("nothing was started.")
        raise typer.Exit(2)
