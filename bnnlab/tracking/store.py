"""Where the MLflow store is, and one open client to it."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
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


DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SCHEMES = ("http", "https", *DATABASES)
"""Kinds of stores that an error names: a tracking server, or a database that MLflow opens itself."""
DATABASE_TRIES = 3
"""How often MLflow tries to open a database that does not answer; its own ten tries take 100 seconds."""
LOCK_PATIENCE_S = 60.0
"""Making a fresh store takes some seconds."""


def tracking_uri(project: Project) -> str:
    """`MLFLOW_TRACKING_URI`, or the SQLite store that a plain `mlflow ui` in the project folder opens."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{project.mlflow_db}"


def is_server(uri: str) -> bool:
    """Whether a tracking server is at `uri`, which has a UI of its own, rather than a database."""
    return uri.startswith(("http://", "https://"))


def ui_address(uri: str) -> str:
    """Where a browser finds MLflow's UI: the tracking server, or what `bnnlab ui` serves for a local store."""
    return uri.rstrip("/") if is_server(uri) else "http://127.0.0.1:5000"


def artifact_location(project: Project, study: str) -> str | None:
    """Where a study's artefacts go: beside the local store; a tracking server decides for itself (None).

    A database that is opened without a server would have MLflow put them below whatever folder one happens to be in.
    """
    is_database = tracking_uri(project).partition(":")[0].partition("+")[0] in DATABASES
    return (project.artifacts / study).as_uri() if is_database else None


def open_client(project: Project) -> MlflowClient:
    """A client of the store, which is made if need be. Raises StoreUnusable, and whatever MLflow raises."""
    uri = tracking_uri(project)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import mlflow.store.db.utils
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    mlflow.store.db.utils.MAX_RETRY_COUNT = DATABASE_TRIES

    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with store_lock(project):
        if not os.environ.get("MLFLOW_TRACKING_URI") and not project.mlflow_db.exists():
            _make_store(project.mlflow_db)
        try:
            client = MlflowClient(uri, registry_uri=uri)
            client.search_experiments(max_results=1)
        except MlflowException as error:
            if mistake := _mistake(uri, str(error)):
                raise StoreUnusable(mistake) from error
            raise
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


class StoreUnusable(Exception):
    """An address at which no MLflow store can be."""


def _mistake(uri: str, complaint: str) -> str | None:
    """What is wrong with an address, in words that help; None where MLflow's complaint is about something else."""
    if "unsupported URI" in complaint:
        near = get_close_matches(uri.partition(":")[0], SCHEMES, 1)
        question = f"; did you mean {near[0]}://?" if near else ""
        return f"no such kind of store (allowed: {', '.join(SCHEMES)}){question}"
    if "filesystem tracking backend" in complaint:
        path = uri.removeprefix("file://").rstrip("/")
        return f"MLflow no longer writes to folders; a file in that folder is sqlite:///{path}/mlflow.db"
    return None


CAUSES = {
    r"too many (\d+) error responses": "the server answers with error {0}; is its database up?",
    r"Failed to resolve '([^']+)'": "no host is called {0}",
    r"Connection refused": "connection refused: no server listens there",
    r"[Tt]imed? ?out": "no answer in time",
    r"unable to open database file|readonly database": "the file cannot be opened for writing",
}
"""What stands in the errors of MLflow, urllib3 and SQLAlchemy, and what it means."""
LONGEST_REASON = 300


def reason(error: Exception) -> str:
    """Why a store cannot be used, in a line."""
    text = str(error).strip()
    for pattern, meaning in CAUSES.items():
        found = re.search(pattern, text)
        if found is not None:
            return meaning.format(*found.groups())
    return (text.splitlines() or [type(error).__name__])[0][:LONGEST_REASON]
