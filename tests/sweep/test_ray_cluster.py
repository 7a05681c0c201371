"""Runs on a Ray cluster of several nodes: the same results as here, also when a node is killed in the middle."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from little import Listener, little_config, little_runs, quick, sweep

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.record import RunState
from bnnlab.sweep.engine import Engine, Outcome
from bnnlab.sweep.events import EpochFinished, Event, RunDied
from bnnlab.sweep.executor import TAKEN, Exit, NoExecutor
from bnnlab.sweep.executor_config import RayConfig
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.ray_cluster import RayExecutor, open_ray

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'bnnlab[ray]'")

pytestmark = [
    pytest.mark.slow,
    # Ray's own: sockets and processes that it lets go of without closing, and what it announces about later versions.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray.*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.*"),
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),
]
STORE = 80 * 2**20
EPOCHS = 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for runs, and two nodes of one CPU each."""
    from ray.cluster_utils import Cluster

    root = str(Path(__file__).parents[2])
    changed = pytest.MonkeyPatch()
    changed.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])))
    changed.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False},
    )
    made.victims = [made.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
    made.wait_for_nodes()
    yield made
    made.shutdown()
    changed.undo()


class Hook:
    """Does something once, when both nodes are at work: as soon as two runs at a time have an epoch behind them."""

    def __init__(self, act: Any) -> None:
        self.act = act
        self.at_work: set[str] = set()

    def tell(self, event: Event) -> None:
        if isinstance(event, EpochFinished):
            self.at_work.add(event.run.run_key)
        else:
            self.at_work.discard(event.run.run_key)
        if self.act is not None and len(self.at_work) == 2:
            act, self.act = self.act, None
            act()


def ray_sweep(
    cluster: Any, root: Path, runs: list[PlannedRun], *, act: Any = None, **config: Any
) -> tuple[Outcome, Listener]:
    listener = Listener()
    executor = open_ray(RayConfig(address=cluster.address, **config), Execution())
    try:
        engine = Engine(Ledger(root), executor, Execution(), [listener, Hook(act)], quick())
        return engine.run(runs), listener
    finally:
        executor.close()


def digests(root: Path, runs: list[PlannedRun]) -> dict[str, str]:
    results = {run.run_key: RunDirectory(root / run.run_key).result() for run in runs}
    return {key: result["provenance"]["weights_sha256"] for key, result in results.items() if result is not None}


def test_the_same_results_as_here(cluster: Any, tmp_path: Path) -> None:
    """The nodes are told the keys of runs and not where the ledger lies: everything comes back through the engine."""
    runs = little_runs(3)
    sweep(tmp_path / "here", runs)

    outcome, listener = ray_sweep(cluster, tmp_path / "ray", runs)

    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert digests(tmp_path / "ray", runs) == digests(tmp_path / "here", runs)
    assert listener.names(runs[0].run_key) == ["RunStarted", *["EpochFinished"] * 3, "RunFinished"]
    for run in runs:
        here, there = (RunDirectory(tmp_path / where / run.run_key) for where in ("here", "ray"))
        # An empty log does not travel.
        assert {path.name for path in there.path.iterdir()} | {"log.txt"} == {path.name for path in here.path.iterdir()}
        assert [epoch.metrics for epoch in there.epochs()] == [epoch.metrics for epoch in here.epochs()]


def test_the_same_on_a_shared_file_system(cluster: Any, tmp_path: Path) -> None:
    runs = little_runs(2)
    sweep(tmp_path / "here", runs)
    ray_sweep(cluster, tmp_path / "ray", runs, shared_file_system=True)
    assert digests(tmp_path / "ray", runs) == digests(tmp_path / "here", runs)


def test_a_failure_says_what_it_says_here(cluster: Any, tmp_path: Path) -> None:
    bad = PlannedRun(little_config(lr=1e30, epochs=2), {"what": "too fast"})
    outcome, _ = ray_sweep(cluster, tmp_path, [bad])
    failure = RunDirectory(tmp_path / bad.run_key).failure()
    assert failure is not None
    assert outcome.failed == {bad.run_key: failure}
    assert failure.kind == "diverged"
    assert RunDirectory(tmp_path / bad.run_key).state() is RunState.FAILED


def test_a_run_that_is_cancelled_is_free_at_once_and_its_agent_takes_the_next(cluster: Any, tmp_path: Path) -> None:
    long, short = little_runs(1, epochs=5000)[0], little_runs(1)[0]
    directories = [RunDirectory(tmp_path / run.run_key) for run in (long, short)]
    for run, directory in zip((long, short), directories, strict=True):
        directory.create(run.config)
    executor = open_ray(RayConfig(address=cluster.address), Execution())
    try:
        job = executor.submit(directories[0].path, Execution())
        taken = executor.submit(directories[0].path, Execution())
        assert taken.poll() == Exit(TAKEN)
        until(executor, lambda: len(directories[0].epochs()) > 1)
        assert job.started
        assert directories[0].state() is RunState.RUNNING
        job.cancel()
        until(executor, lambda: job.poll() is not None)
        assert job.poll() == Exit(-9)
        assert directories[0].state() is RunState.INTERRUPTED

        following = executor.submit(directories[1].path, Execution())
        assert following.agent == job.agent
        until(executor, lambda: following.poll() is not None)
        assert directories[1].state() is RunState.FINISHED
    finally:
        executor.close()


def until(executor: RayExecutor, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        executor.wait(0.2)


def test_no_room_for_a_run_is_said_before_anything_is_started(cluster: Any) -> None:
    with pytest.raises(
        NoExecutor, match=r"no node of the Ray cluster has room for a run of 1 CPU, 1 bigdisk; its nodes: "
    ):
        open_ray(RayConfig(address=cluster.address, resources={"bigdisk": 1}), Execution())
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoExecutor, match=r"no Ray cluster at 127\.0\.0\.1:1: "):
        open_ray(RayConfig(address="127.0.0.1:1"), Execution())


def test_more_workers_than_there_is_room_for_wait_for_it(cluster: Any, tmp_path: Path) -> None:
    """A run whose agent Ray cannot place gets the one that has ended its own run, and does not wait for ever."""
    runs = little_runs(4)
    outcome, _ = ray_sweep(cluster, tmp_path, runs, workers=4)
    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)


def test_all_runs_finish_when_a_node_is_killed_in_the_middle(cluster: Any, tmp_path: Path) -> None:
    runs = little_runs(3, epochs=EPOCHS)
    sweep(tmp_path / "here", runs)
    victim = cluster.victims[0]

    outcome, listener = ray_sweep(
        cluster, tmp_path / "ray", runs, act=lambda: cluster.remove_node(victim, allow_graceful=False)
    )

    assert sorted(outcome.trained) == sorted(run.run_key for run in runs)
    assert not outcome.failed
    assert digests(tmp_path / "ray", runs) == digests(tmp_path / "here", runs)
    died = [event for event in listener.events if isinstance(event, RunDied)]
    assert len(died) == 1
    assert re.fullmatch(r"its process was lost: node \S+ is gone(, or Ray's process there)?", died[0].reason)
    # It went on after its last epoch that had come back, on the other node.
    again = RunDirectory(tmp_path / "ray" / died[0].run.run_key)
    assert again.attempts() == 2
    epochs = [
        event.epoch.index for event in listener.events if isinstance(event, EpochFinished) and event.run == died[0].run
    ]
    assert epochs == list(range(EPOCHS))
