"""`bnnlab ui`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from subprocess import Popen

    from bnnlab.sweep.project import Project


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab ui --port 5001")(ui)


def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback address.")] = 5000) -> None:
    """Open MLflow's own UI on this project's store, and Optuna's dashboard where there is a search."""
    import os
    import subprocess
    import sys

    from bnnlab.cli.output import say
    from bnnlab.sweep.project import find_project
    from bnnlab.tracking.store import tracking_uri

    project = find_project()
    if not os.environ.get("MLFLOW_TRACKING_URI") and not project.mlflow_db.exists():
        say(f"there is no MLflow store in {project.root} yet; a first `bnnlab sweep SPEC` makes it")
        raise typer.Exit(2)
    say(f"MLflow on {tracking_uri(project)}: http://127.0.0.1:{port}  (Ctrl-C ends it)")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", tracking_uri(project)]
    if project.artifacts.exists():
        command += ["--default-artifact-root", project.artifacts.as_uri()]
    dashboards = _open_dashboards(project, port + 1)
    try:
        raise typer.Exit(subprocess.run(command, cwd=project.root, check=False).returncode)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    finally:
        for dashboard in dashboards:
            dashboard.terminate()


def _open_dashboards(project: Project, port: int) -> list[Popen[bytes]]:
    """Optuna's dashboard for each search, on the ports from `port` on; how to get it where it is not installed."""
    import shutil
    import subprocess

    from bnnlab.cli.output import say

    opened = []
    command = shutil.which("optuna-dashboard")
    for number, journal in enumerate(sorted(project.ledger.glob(".searches/*/journal.log"))):
        if command is None:
            say(f"for Optuna's dashboard:  pip install optuna-dashboard && optuna-dashboard {journal}")
            continue
        say(f"Optuna's dashboard of {journal.parent.name}: http://127.0.0.1:{port + number}")
        arguments = [command, str(journal), "--host", "127.0.0.1", "--port", str(port + number)]
        opened.append(subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    return opened
