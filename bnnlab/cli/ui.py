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
    from bnnlab.cli.output import say
    from bnnlab.sweep.project import find_project
    from bnnlab.tracking.store import is_server, tracking_uri, ui_address

    project = find_project()
    uri = tracking_uri(project)
    if is_server(uri):
        say(f"MLflow's UI is at {ui_address(uri)}, as MLFLOW_TRACKING_URI says")
        _wait_for(_dashboards(project, port))
        return
    if uri == f"sqlite:///{project.mlflow_db}" and not project.mlflow_db.exists():
        say(f"there is no MLflow store in {project.root} yet; a first `bnnlab sweep SPEC` makes it")
        raise typer.Exit(2)
    if _is_taken(port):
        say(f"port {port} is taken (another `bnnlab ui`?); `bnnlab ui --port {port + 1}` uses the next one")
        raise typer.Exit(2)
    say(f"MLflow on {uri}: http://127.0.0.1:{port}  (Ctrl-C ends it)")
    _wait_for([_mlflow(project, uri, port), *_dashboards(project, port + 1)])


def _mlflow(project: Project, uri: str, port: int) -> Popen[bytes]:
    import subprocess
    import sys

    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", uri, "--registry-store-uri", uri]
    if project.artifacts.exists():
        command += ["--default-artifact-root", project.artifacts.as_uri()]
    # Out of reach of the terminal's Ctrl-C, which MLflow would answer with a traceback.
    return subprocess.Popen(command, cwd=project.root, start_new_session=True)


def _dashboards(project: Project, port: int) -> list[Popen[bytes]]:
    """Optuna's dashboard for each search, on the ports from `port` on; how to get it where it is not installed."""
    import os
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    from bnnlab.cli.output import say
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.search.journal import journals

    opened = []
    # Beside our own Python first: a virtual environment need not be activated to be used.
    command = shutil.which(
        "optuna-dashboard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    for number, journal in enumerate(journals(Ledger(project.ledger))):
        if command is None:
            say(f"for Optuna's dashboard:  pip install optuna-dashboard && optuna-dashboard {journal}")
            continue
        say(f"Optuna's dashboard of {journal.parent.name}: http://127.0.0.1:{port + number}")
        arguments = [command, str(journal), "--host", "127.0.0.1", "--port", str(port + number)]
        quiet = subprocess.DEVNULL
        opened.append(subprocess.Popen(arguments, stdout=quiet, stderr=quiet, start_new_session=True))
    return opened


def _wait_for(servers: list[Popen[bytes]]) -> None:
    """Until the first of them ends by itself, whose exit code is ours, or Ctrl-C or SIGTERM ends them all."""
    import os
    import signal
    from contextlib import suppress

    if not servers:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        code = servers[0].wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        for server in servers:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)  # each leads a group: MLflow has children
        for server in servers:
            server.wait()
    if code:
        raise typer.Exit(code)


def _is_taken(port: int) -> bool:
    import socket

    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
