"""Where the MLflow store is, and one open client to it."""

from __future__ import annotations

import fcntl
import logging
import os
import time
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


LOCK_PATIENCE_S = 60.0
"""Making a fresh store takes some seconds."""


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
        if not os.environ.get("MLFLOW_TRACKING_URI") and not project.mlflow_db.exists():
            _make_store(project.mlflow_db)
        client = MlflowClient(uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _make_store(path: Path) -> None:
    """Make a fresh SQLite store aside and put it in place whole: MLflow takes some fifty steps over a new one, and
    cannot go on with one that was killed between two of them."""
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)
    store = SqlAlchemyStore(f"sqlite:///{temporary}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call]
    store.engine.dispose()
    temporary.replace(path)


@contextmanager
def store_lock(project: Project) -> Iterator[None]:
    """Alone with the local store: two processes that make a fresh SQLite store at once break it.

    Raises TimeoutError where another process keeps it for itself, say because it was stopped meanwhile.
    """
    if os.environ.get("MLFLOW_TRACKING_URI"):
        yield
        return
    path: Path = project.root / "mlflow.db.lock"
    project.root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    with path.open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process has held {path} for {LOCK_PATIENCE_S:.0f} s") from None
                time.sleep(0.1)
        yield


def reason(error: Exception) -> str:
    """Why a store cannot be used, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
