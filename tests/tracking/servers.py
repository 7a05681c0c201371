"""PostgreSQL and an MLflow tracking server on it, started for a test and gone after it: what many users share."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

PATIENCE_S = 180.0
"""Seconds that a server gets to answer, on a machine that is busy with other tests."""


def missing() -> str | None:
    """Why these servers cannot be had here; None where they can."""
    if _program("initdb") is None or _program("postgres") is None:
        return "PostgreSQL's initdb and postgres are not installed (Debian: apt-get install postgresql)"
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "psycopg2 is not installed (pip install 'bnnlab[server]')"
    return None if _database_user() is not None else "PostgreSQL refuses to run as root, and there is no other user"


class Postgres:
    """A database server on a loopback port, in a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bnnlab-postgres-"))
        self.port = free_port()
        user = _database_user()
        assert user is not None
        self._as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        words = ["--pgdata", str(self.data), "--username", "bnnlab", "--auth", "trust", "--encoding", "UTF8"]
        self._run("initdb", *words, "--no-locale", "--no-sync")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def uri(self) -> str:
        # The driver by name: a plain postgresql:// means psycopg2 to SQLAlchemy 2.0 and psycopg to 2.1.
        return f"postgresql+psycopg2://bnnlab@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        # What a crash of the machine would lose is of no interest here, so that nothing waits for the disk.
        settings = ["fsync=off", "max_connections=200", f"unix_socket_directories={self.folder}"]
        words = ["-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port)]
        words += [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres") or "", *words], stdout=log, stderr=log, start_new_session=True, **self._as_user
            )
        _wait_for(self._answers, self._process, self.folder / "log")

    def stop(self) -> None:
        """End at once, whoever is connected."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        import psycopg2

        try:
            psycopg2.connect(host="127.0.0.1", port=self.port, user="bnnlab", dbname="postgres").close()
        except psycopg2.OperationalError:
            return False
        return True

    def _run(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [_program(name) or "", *words], capture_output=True, text=True, check=False, cwd="/", **self._as_user
        )
        assert done.returncode == 0, done.stderr


class MlflowServer:
    """`mlflow server` on a loopback port, with its artefacts in `folder`."""

    def __init__(self, store: str, folder: Path, *, workers: int = 1) -> None:
        self.store = store
        self.folder = folder
        self.workers = workers
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")]
        words += ["--workers", str(self.workers)]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | quiet
        with (self.folder / "mlflow.log").open("ab") as log:
            # A group of its own: the server has children, and all of them end with it.
            self._process = subprocess.Popen(
                words, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        _wait_for(self._answers, self._process, self.folder / "mlflow.log")

    def kill(self) -> None:
        """SIGKILL: what the out-of-memory killer and a power cut do."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5):
                return True
        except (URLError, OSError):
            return False


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(answers: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not answers():
        assert process.poll() is None, f"the server ended: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, f"the server does not answer: {log.read_text()[-2000:]}"
        time.sleep(0.1)


def _program(name: str) -> str | None:
    """Debian keeps the programs of the database server out of PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))


def _database_user() -> pwd.struct_passwd | None:
    """Who runs the database: us, or where that is root, the user that Debian made for it."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None
