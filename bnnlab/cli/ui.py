"""`bnnlab ui`."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab ui --port 5001")(ui)


def ui(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on the loopback address.")] = 5000) -> None:
    """Open MLflow's own UI on this project's store, on the loopback address."""
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
    try:
        raise typer.Exit(subprocess.run(command, cwd=project.root, check=False).returncode)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
