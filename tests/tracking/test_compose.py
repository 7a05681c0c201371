"""docs/server/compose.yaml: what it starts is what is tested, in the versions that are tested."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from ruamel.yaml import YAML
from servers import PATIENCE_S, Postgres, free_port, missing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = YAML(typ="safe").load(ROOT / "docs" / "server" / "compose.yaml")["services"]
    return services


def test_its_versions_are_the_tested_ones(services: dict[str, Any]) -> None:
    tested = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text().lower(), re.MULTILINE))
    pinned = dict(re.findall(r"([\w-]+)==([\w.]+)", services["mlflow"]["build"]["dockerfile_inline"].lower()))
    assert pinned.keys() == {"mlflow", "psycopg2-binary", "sqlalchemy"}
    assert pinned == {name: tested[name] for name in pinned}


def test_what_must_not_be_lost_is_in_volumes(services: dict[str, Any]) -> None:
    volumes = {name: [volume.partition(":")[2] for volume in service["volumes"]] for name, service in services.items()}
    assert volumes == {"database": ["/var/lib/postgresql/data"], "mlflow": ["/artifacts"]}
    command = services["mlflow"]["command"]
    assert command[command.index("--artifacts-destination") + 1] == "/artifacts"


def test_it_listens_on_this_machine_alone_unless_told_otherwise(services: dict[str, Any]) -> None:
    assert services["mlflow"]["ports"] == ["${BIND:-127.0.0.1}:5000:5000"]
    assert "ports" not in services["database"]


@pytest.fixture(scope="module")
def address(services: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server, started with the very command and environment of the file, but for its places."""
    folder, port = tmp_path_factory.mktemp("compose"), free_port()
    postgres = Postgres()
    service = services["mlflow"]
    places = {"0.0.0.0": "127.0.0.1", "5000": str(port), "/artifacts": str(folder / "artifacts"), "4": "1"}
    command = [places.get(word, word) for word in service["command"]]
    given = {"POSTGRES_PASSWORD": "secret", "ALLOWED_HOSTS": "lab.example.org:5000,127.0.0.1:*"}
    settings = {name: _filled_in(value, given) for name, value in service["environment"].items()}
    in_compose = "postgresql+psycopg2://mlflow:secret@database:5432/mlflow"
    assert settings["MLFLOW_BACKEND_STORE_URI"] == in_compose
    settings["MLFLOW_BACKEND_STORE_URI"] = postgres.uri
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | settings
    process = None
    try:
        postgres.start()
        with (folder / "log").open("w") as log:
            words = [sys.executable, "-m", *command]
            process = subprocess.Popen(
                words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE_S
        check = [word.replace("5000", str(port)) for word in service["healthcheck"]["test"][1:]]
        check[0] = sys.executable
        while subprocess.run(check, capture_output=True, check=False).returncode != 0:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        postgres.close()


@pytest.mark.slow
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize(
    ("host", "code"), [("lab.example.org:5000", 200), ("127.0.0.1:80", 200), ("10.0.0.7:5000", 403)]
)
def test_its_server_answers_to_the_names_that_it_was_given(address: str, host: str, code: int) -> None:
    asked = Request(f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", headers={"Host": host})
    try:
        with urlopen(asked, timeout=30) as answer:
            got = answer.status
    except HTTPError as error:
        got = error.code
    assert got == code


def _filled_in(value: str, given: dict[str, str]) -> str:
    """As compose puts variables in."""
    return re.sub(r"\$\{(\w+)[^}]*\}", lambda found: given[found[1]], value)
