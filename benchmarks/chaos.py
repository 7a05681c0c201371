"""Kills, stops and interrupts a sweep at random, a hundred times, and compares what is left with a quiet one.

    python benchmarks/chaos.py                       60 runs, 100 blows: some ten minutes on two cores
    python benchmarks/chaos.py --runs 6 --blows 10   the short form that the tests run

A blow is a signal: SIGKILL, SIGTERM, SIGINT (Ctrl-C, to the whole process group) or SIGSTOP at the coordinator;
SIGKILL, SIGTERM or SIGSTOP at a worker. Its moment is a random number of epochs that the study has finished, not a
time, so that fast and slow machines deal the same blows. A stopped coordinator is woken a little later; a stopped
worker is left for the engine to find. Whenever the sweep has ended, the same command is given again.

At the end: every run finished once, with the weights, metrics and epochs of the undisturbed sweep; MLflow equal to the
ledger, row by row, nothing left RUNNING; no attempt began before an epoch that an earlier one had finished.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.holder import Process
from bnnlab.sweep.ledger import Ledger
from bnnlab.tracking.comparison import differences

SPEC = """\
name: chaos
question: What is left of a sweep after {blows} blows?
base:
  model: {{name: binary_densenet_flex, blocks: [1, 1, 1, 1], reduction: [1, 1, 1], growth_rate: 8, init_features: 16}}
  data: {{name: synthetic, train: 64, validation: 16, test: 16}}
  training: {{epochs: {epochs}, batch_size: 16, optimizer: {{name: adam}}, schedule: {{name: cosine}}}}
axes:
  training.optimizer.lr: [0.003, 0.01]
seeds: [{seeds}]
"""
COORDINATOR_BLOWS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP)
WORKER_BLOWS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)
OPTIONS = ["--workers", "2", "--retries", "1000", "--backoff", "0", "--hang-timeout", "8"]


class Project:
    """A folder with one study, and the command that sweeps it."""

    def __init__(self, root: Path, spec: str) -> None:
        self.root = root
        root.mkdir(parents=True)
        (root / "studies").mkdir()
        (root / "studies" / "chaos.yaml").write_text(spec)
        self.log = root / "sweeps.log"

    def start(self) -> subprocess.Popen[bytes]:
        package = str(Path(__file__).parents[1])
        environment = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "BNNLAB_PROJECT")}
        environment |= {"PYTHONPATH": package, "OMP_NUM_THREADS": "1"}
        words = [sys.executable, "-m", "bnnlab", "--debug", "sweep", "studies/chaos.yaml", *OPTIONS]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                words, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def run_keys(self) -> list[str]:
        return sorted(path.parent.name for path in (self.root / "runs").glob("*/config.json"))

    def epochs_of(self, key: str) -> int:
        """How many epochs of a run are finished."""
        try:
            return (self.root / "runs" / key / "metrics.jsonl").read_bytes().count(b"\n")
        except OSError:
            return 0

    def epochs_in_all(self) -> int:
        return sum(self.epochs_of(key) for key in self.run_keys())

    def attempts(self) -> int:
        """How often a process has taken up a run."""
        return sum(RunDirectory(self.root / "runs" / key).attempts() for key in self.run_keys())

    def results(self) -> dict[str, dict[str, Any]]:
        """What counts of every run: metrics, weights and the metrics of each epoch."""
        found = {}
        for key in self.run_keys():
            folder = self.root / "runs" / key
            if not (folder / "result.json").exists():
                continue
            result = json.loads((folder / "result.json").read_text())
            epochs = [json.loads(line)["metrics"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
            weights = result["provenance"]["weights_sha256"]
            found[key] = {"metrics": result["metrics"], "weights": weights, "epochs": epochs}
        return found


@dataclass(frozen=True)
class Blow:
    """A signal, at whom, and when: after so many epochs of the whole study, never after so many seconds."""

    signal: signal.Signals
    at_worker: bool
    after: int
    """Epochs that are finished, over all runs."""
    early: bool
    """At the coordinator only: dealt again as soon as the command that was given next says its first word."""
    pause_s: float
    """How long a stopped coordinator stays so."""

    def __str__(self) -> str:
        return f"{self.signal.name} at {'a worker' if self.at_worker else 'the coordinator'}"


def draw_blows(count: int, epochs: int, seed: int) -> list[Blow]:
    """Blows of all kinds, two thirds of them at workers (a coordinator takes seconds to be back), spread at random over
    the epochs of the study except the last tenth of them: each blow finds something to hit."""
    dice = random.Random(seed)
    workers = [WORKER_BLOWS[i % len(WORKER_BLOWS)] for i in range(count - count // 3)]
    coordinators = [COORDINATOR_BLOWS[i % len(COORDINATOR_BLOWS)] for i in range(count // 3)]
    kinds = [(blow, True) for blow in workers] + [(blow, False) for blow in coordinators]
    dice.shuffle(kinds)
    moments = sorted(dice.randint(1, max(1, epochs * 9 // 10)) for _ in kinds)
    return [
        Blow(blow, at_worker, after, not at_worker and dice.random() < 0.2, dice.uniform(0.1, 1.0))
        for (blow, at_worker), after in zip(kinds, moments, strict=True)
    ]


class Harassment:
    """A sweep that is given again whenever it has ended, until the study is done, and hit on the way."""

    def __init__(self, project: Project, epochs_of_a_run: int) -> None:
        self.project = project
        self.last_epoch = epochs_of_a_run - 1
        self.dealt: Counter[str] = Counter()
        self.hit: set[Process] = set()
        """Workers that got a blow. None gets a second one, so that each blow ends an attempt of its own."""
        self.sweep = project.start()

    def until_done(self, blows: Sequence[Blow]) -> None:
        """Deal each blow at its moment; those whose moment has passed come as soon as there is something to hit."""
        left = deque(blows)
        while True:
            if self.sweep.poll() is not None:
                if self.sweep.returncode == 0:
                    return
                self.sweep = self.project.start()
            if left and self.project.epochs_in_all() >= left[0].after and self._deal(left[0]):
                left.popleft()
            time.sleep(0.002)

    def _deal(self, blow: Blow) -> bool:
        """Whether there was something to hit."""
        if blow.at_worker:
            fresh = [worker for worker in self._busy_workers() if worker not in self.hit]
            if not fresh:
                return False
            self.hit.add(fresh[0])
            try:
                os.kill(fresh[0].pid, blow.signal)
            except ProcessLookupError:
                return False
        else:
            if self.sweep.poll() is not None or not self._busy_workers():
                return False
            self._hit_coordinator(blow)
            if blow.early and blow.signal is not signal.SIGSTOP:
                self._hit_the_next_one_early(blow)
        self.dealt[str(blow)] += 1
        return True

    def _hit_coordinator(self, blow: Blow) -> None:
        if blow.signal is signal.SIGINT:
            os.killpg(self.sweep.pid, blow.signal)
        else:
            os.kill(self.sweep.pid, blow.signal)
        if blow.signal is signal.SIGSTOP:
            time.sleep(blow.pause_s)
            os.kill(self.sweep.pid, signal.SIGCONT)

    def _hit_the_next_one_early(self, blow: Blow) -> None:
        """The next coordinator gets the same before it has workers: once it says how many runs there are."""
        self.sweep.wait()
        said = self.project.log.stat().st_size
        self.sweep = self.project.start()
        while self.project.log.stat().st_size == said and self.sweep.poll() is None:
            time.sleep(0.002)
        if self.sweep.poll() is None:
            self._hit_coordinator(blow)

    def _busy_workers(self) -> list[Process]:
        """The processes that train a run and are not near its end."""
        found = []
        for key in self.project.run_keys():
            directory = RunDirectory(self.project.root / "runs" / key)
            if directory.result_file.exists():
                continue
            holder = directory.holder()
            epochs = self.project.epochs_of(key)
            if holder is not None and not holder.process.has_ended and 0 < epochs < self.last_epoch:
                found.append(holder.process)
        return found


def compare_ledgers(quiet: Project, harassed: Project) -> list[str]:
    """What differs between the two, in sentences."""
    expected, found = quiet.results(), harassed.results()
    wrong = [f"run {key} is lost" for key in expected.keys() - found.keys()]
    wrong += [f"run {key} is nobody's" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        wrong += [
            f"run {key}: other {what} than undisturbed"
            for what in expected[key]
            if expected[key][what] != found[key][what]
        ]
    return wrong


def check_attempts(project: Project) -> list[str]:
    """Whether an attempt began before an epoch that an earlier one had begun with: work done more than once."""
    wrong = []
    for key in project.run_keys():
        lines = (project.root / "runs" / key / "attempts.jsonl").read_text().splitlines()
        begun = [json.loads(line)["epochs"] for line in lines if line.endswith("}")]
        if begun != sorted(begun):
            wrong.append(f"run {key}: attempts began with {begun} epochs done")
    return wrong


def compare_mlflow(project: Project) -> list[str]:
    """What differs between the ledger and MLflow, row by row."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")
    ledger = Ledger(project.root / "runs")
    (plan,) = ledger.saved_plans()
    experiment = client.get_experiment_by_name(plan.study)
    if experiment is None:
        return ["MLflow has no experiment"]
    shown = client.search_runs([experiment.experiment_id], max_results=5000)
    wrong = [f"MLflow run {run.info.run_name} is {run.info.status}" for run in shown if run.info.status != "FINISHED"]
    if len(shown) != 1 + len(plan.all_runs):
        wrong.append(f"MLflow has {len(shown)} runs for a parent and {len(plan.all_runs)} runs of the ledger")
    return wrong + differences(client, ledger, plan)


def main() -> int:
    # In the background of a script SIGINT is ignored, also by what is started there: Ctrl-C would be no blow.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--blows", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")
    options = parser.parse_args()
    seeds = ", ".join(str(seed) for seed in range(options.runs // 2))
    spec = SPEC.format(blows=options.blows, epochs=options.epochs, seeds=seeds)
    with tempfile.TemporaryDirectory() as folder:
        root = options.keep or Path(folder)
        quiet, harassed = Project(root / "quiet", spec), Project(root / "harassed", spec)
        began = time.monotonic()
        code = quiet.start().wait()
        print(f"undisturbed: exit code {code}, {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        harassment = Harassment(harassed, options.epochs)
        harassment.until_done(draw_blows(options.blows, options.runs // 2 * 2 * options.epochs, options.seed))
        dealt = harassment.dealt
        print(f"harassed: {time.monotonic() - began:.0f} s, {dealt.total()} of {options.blows} blows", flush=True)
        for name, count in sorted(dealt.items()):
            print(f"  {count:3} {name}")
        wrong = [*compare_ledgers(quiet, harassed), *check_attempts(harassed), *compare_mlflow(harassed)]
        finished = len(harassed.results())
        planned, attempts = options.runs // 2 * 2, harassed.attempts()
        print(f"{finished} of {planned} runs finished in {attempts} attempts; {len(wrong)} differences")
        for sentence in wrong:
            print(f"  {sentence}")
        return 1 if wrong or code or finished != planned else 0


if __name__ == "__main__":
    sys.exit(main())
