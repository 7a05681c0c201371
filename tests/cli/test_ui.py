"""`bnnlab ui`: MLflow's UI on the project's store, or the address of the server that has one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from bnnlab.sweep.project import Project
from bnnlab.tracking.store import open_client

PATIENCE_S = 120


def ui(project: Path, *words: str, uri: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "BNNLAB_PROJECT": str(project), "MLFLOW_TRACKING_URI": uri}
    environment["PATH"] = ""  # what is installed beside Python is found without an activated environment
    return subprocess.Popen(
        [sys.executable, "-m", "bnnlab", "ui", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_tracking_server_has_its_own_ui(tmp_path: Path) -> None:
    with ui(tmp_path, uri="http://lab.example.org:5000/") as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert (said, process.returncode) == (
        "MLflow's UI is at http://lab.example.org:5000, as MLFLOW_TRACKING_URI says\n",
        0,
    )


def test_without_a_store_it_says_what_makes_one(tmp_path: Path) -> None:
    with ui(tmp_path) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert said == f"there is no MLflow store in {tmp_path} yet; a first `bnnlab sweep SPEC` makes it\n"
    assert process.returncode == 2


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    with taken_port() as port, ui(tmp_path, "--port", str(port)) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert said == f"port {port} is taken (another `bnnlab ui`?); `bnnlab ui --port {port + 1}` uses the next one\n"
    assert process.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_store_can_be_browsed_until_it_is_ended(
    end: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    open_client(Project(tmp_path)).create_experiment("scaling")
    with taken_port() as port:
        pass
    with ui(tmp_path, "--port", str(port)) as process:
        page = _fetched(f"http://127.0.0.1:{port}/", process)
        os.killpg(process.pid, end)
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert "<title>MLflow</title>" in page
    assert f"http://127.0.0.1:{port}  (Ctrl-C ends it)" in said
    assert "Traceback" not in said
    assert process.returncode == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))


def _fetched(address: str, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urlopen(address, timeout=10) as answer:
                page: str = answer.read().decode()
                return page
        except OSError:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
