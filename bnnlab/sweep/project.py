"""The project folder: where the ledger, the MLflow store and the reports of a user's work lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SIGNS = ("runs", "studies", "sweeps", "mlflow.db")


@dataclass(frozen=True)
class Project:
    """Paths of one project; nothing is created before it is needed."""

    root: Path

    @property
    def ledger(self) -> Path:
        return self.root / "runs"

    @property
    def mlflow_db(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.root / "mlartifacts"

    @property
    def reports(self) -> Path:
        return self.root / "reports"


def find_project(start: Path | None = None) -> Project:
    """The project that a command works in.

    BNNLAB_PROJECT where it is set; otherwise the nearest folder, from `start` (default: the current one) upwards,
    that holds `runs/`, `studies/`, `sweeps/` or `mlflow.db`; otherwise `start` itself.
    """
    told = os.environ.get("BNNLAB_PROJECT")
    if told:
        return Project(Path(told).expanduser().resolve())
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if any((folder / sign).exists() for sign in SIGNS):
            return Project(folder)
    return Project(start)
