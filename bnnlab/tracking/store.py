"""Where the MLflow store is, and one open client to it."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bnnlab.sweep.project import Project

if TYPE_CHECKING:
    from mlflow import MlflowClient

# A person who publishes results did not ask for their tool to phone home; and a dead server must be noticed in
# seconds, not after MLflow's own seven retries with growing pauses.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri(project: Project) -> str:
    """`MLFLOW_TRACKING_URI`, or the SQLite store that a plain `mlflow ui` in the project folder opens."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project.mlflow_db}"


def ui_address(uri: str) -> str:
    """Where a browser finds MLflow's UI: the tracking server, or what `bnnlab ui` serves for a local store."""
    return uri.rstrip("/") if uri.startswith(("http://", "https://")) else "http://127.0.0.1:5000"


def artifact_location(project: Project, study: str) -> str | None:
    """Where a study's artefacts go: beside the local store; a tracking server decides for itself (None)."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else (project.artifacts / study).as_uri()


def open_client(project: Project) -> MlflowClient:
    """A client of the store, which is made where it does not exist. Raises whatever MLflow raises."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    uri = tracking_uri(project)
    with store_lock(project):
        client = MlflowClient(uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


@contextmanager
def store_lock(project: Project) -> Iterator[None]:
    """Alone with the local store: two processes that make a fresh SQLite store at once break it."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield
        return
    path: Path = project.root / "mlflow.db.lock"
    project.root.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
