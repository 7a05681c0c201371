"""The page where most readers meet it: in the artifact view of a running MLflow server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from chromium import browse
from sample_studies import simulated
from test_report_build import SHIPPED

from bnnlab.report.build import build_report

LOG = """
import sys, mlflow
store, page = sys.argv[1:]
mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
experiment = mlflow.create_experiment("study", artifact_location=f"file://{store}/artifacts")
with mlflow.start_run(experiment_id=experiment) as run:
    mlflow.log_artifact(page)
print(experiment, run.info.run_id)
"""


@contextmanager
def mlflow_server(store):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}/mlflow.db"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (store / "server.log").open("wb") as log:
        # A group of its own: the server has children, and all of them are to end with the test.
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                try:
                    urlopen(f"http://127.0.0.1:{port}/health").close()
                    break
                except URLError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, 15)
            server.wait()


@pytest.mark.slow
def test_mlflow_shows_the_report_with_its_figures(tmp_path):
    with browse() as tab:  # first, so that a machine without Chromium skips at once
        page = tmp_path / "report.html"
        page.write_text(build_report(simulated(seeds=2, epochs=5), SHIPPED["ablation"]).html(), encoding="utf-8")
        log = [sys.executable, "-W", "ignore", "-c", LOG, str(tmp_path), str(page)]
        logged = subprocess.run(log, capture_output=True, text=True, check=True).stdout.split()
        experiment, run = logged[-2:]
        with mlflow_server(tmp_path) as url:
            tab.size(1400, 1200)
            tab.open(f"{url}/#/experiments/{experiment}/runs/{run}/artifacts/report.html")
            tab.wait("document.querySelectorAll('iframe').length === 1", patience_s=60)
            tab.enter_frame()
            tab.wait("document.querySelectorAll('.chart').length > 0")
            tab.draw_all()
            assert tab.evaluate("document.querySelector('h1').textContent").startswith("Do scaling factors")
            assert tab.evaluate("document.querySelectorAll('svg.marks').length") == tab.evaluate(
                "document.querySelectorAll('.chart').length"
            )
