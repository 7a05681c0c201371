"""Kills, stops and interrupts a sweep at random, a hundred times, and compares what is left with a quiet one.

    python benchmarks/chaos.py                       60 runs, 100 blows: some ten minutes on two cores
    python benchmarks/chaos.py --runs 6 --blows 10   the short form that the tests run

A blow is a signal at a random moment: SIGKILL, SIGTERM, SIGINT (Ctrl-C, to the whole process group) or SIGSTOP at the
coordinator; SIGKILL, SIGTERM or SIGSTOP at a worker. A stopped coordinator is woken a little later; a stopped worker is
left for the engine to find. Whenever the sweep has ended, the same command is given again.

At the end: every run finished once, with the weights, metrics and epochs of the undisturbed sweep; MLflow equal to the
ledger, row by row, nothing left RUNNING; no attempt began before an epoch that an earlier one had finished.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

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

    def epochs_done(self) -> dict[str, int]:
        return {
            path.parent.name: path.read_bytes().count(b"\n") for path in (self.root / "runs").glob("*/metrics.jsonl")
        }

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


def children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def workers_of(coordinator: int) -> list[int]:
    """The coordinator's grandchildren: its forkserver's children."""
    return [worker for child in children_of(coordinator) for worker in children_of(child)]


def harass(project: Project, blows: int, seed: int) -> Counter[str]:
    """Sweep until it is done, with `blows` blows on the way."""
    dice = random.Random(seed)
    dealt: Counter[str] = Counter()
    sweep = project.start()
    while True:
        if sweep.poll() is not None:
            left = blows - dealt.total()
            if sweep.returncode == 0 and left > 0:
                print(f"  done with {left} blows to go: the study is too short for them", flush=True)
            if sweep.returncode == 0:
                return dealt
            sweep = project.start()
        if dealt.total() >= blows:
            time.sleep(0.1)
            continue
        time.sleep(dice.uniform(0.0, 2.0))
        workers = workers_of(sweep.pid)
        # Mostly at workers: a coordinator takes seconds to be back, in which there is nothing to hit.
        if workers and dice.random() < 0.7:
            blow, target = dice.choice(WORKER_BLOWS), dice.choice(workers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, blow)
                dealt[f"{blow.name} at a worker"] += 1
            continue
        if sweep.poll() is not None or (not workers and dice.random() < 0.8):
            continue  # a coordinator that is hit before it has workers is seldom a new case
        blow = dice.choice(COORDINATOR_BLOWS)
        if blow is signal.SIGINT:
            os.killpg(sweep.pid, blow)
        else:
            os.kill(sweep.pid, blow)
        dealt[f"{blow.name} at the coordinator"] += 1
        if blow is signal.SIGSTOP:
            time.sleep(dice.uniform(0.1, 1.0))
            os.kill(sweep.pid, signal.SIGCONT)
        elif dice.random() < 0.5:
            with contextlib.suppress(subprocess.TimeoutExpired):
                sweep.wait(timeout=dice.uniform(0.0, 20.0))


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
    experiment = client.get_experiment_by_name("chaos")
    if experiment is None:
        return ["MLflow has no experiment"]
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    wrong = [f"MLflow run {run.info.run_name} is {run.info.status}" for run in runs if run.info.status != "FINISHED"]
    parents = [run for run in runs if run.data.tags["bnnlab.kind"] == "sweep"]
    children = {run.data.tags["bnnlab.run_key"]: run for run in runs if run.data.tags["bnnlab.kind"] == "run"}
    results = project.results()
    if len(parents) != 1 or len(runs) != 1 + len(results) or children.keys() != results.keys():
        others = len(runs) - len(parents)
        wrong.append(f"MLflow has {len(parents)} parents and {others} other runs for {len(results)} runs of the ledger")
    for key, child in children.items():
        result = results.get(key)
        if result is None:
            continue
        for name, value in result["metrics"].items():
            logged = [metric.value for metric in client.get_metric_history(child.info.run_id, name)]
            if logged != [value]:
                wrong.append(f"run {key}: {name} is {value} in the ledger and {logged} in MLflow")
        for name in result["epochs"][0]:
            history = client.get_metric_history(child.info.run_id, name)
            rows = sorted((metric.step, metric.value) for metric in history)
            if rows != [(index + 1, epoch[name]) for index, epoch in enumerate(result["epochs"])]:
                wrong.append(f"run {key}: the epochs of {name} differ between the ledger and MLflow")
    return wrong


def main() -> int:
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
        dealt = harass(harassed, options.blows, options.seed)
        print(f"harassed: {time.monotonic() - began:.0f} s, {dealt.total()} blows", flush=True)
        for blow, count in sorted(dealt.items()):
            print(f"  {count:3} {blow}")
        attempts = sum(
            (harassed.root / "runs" / key / "attempts.jsonl").read_bytes().count(b"\n") for key in harassed.run_keys()
        )
        wrong = [*compare_ledgers(quiet, harassed), *check_attempts(harassed), *compare_mlflow(harassed)]
        finished = len(harassed.results())
        print(f"{finished} of {options.runs // 2 * 2} runs finished in {attempts} attempts; {len(wrong)} differences")
        for sentence in wrong:
            print(f"  {sentence}")
        return 1 if wrong or code or finished != options.runs // 2 * 2 else 0


if __name__ == "__main__":
    sys.exit(main())
