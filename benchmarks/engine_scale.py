"""What size costs: a plan of 100,000 runs, a ledger of 10,000 finished ones, a sweep of 500 short ones.

    python benchmarks/engine_scale.py [--repeats 5] [--runs 500]

The finished runs are written here as training would leave them, twelve epochs each. Every command is timed as a person
meets it, interpreter and all, and a bare `python -c pass` beside it says how fast the machine is just then. The
overhead of a run is what a sweep takes beyond the seconds that each run states itself: wall time - these / slots, and
the difference of that between a sweep of many runs and one of few is divided by the runs that lie between, so that
start-up and report drop out. It is given twice: beyond the epochs (the network that is built, checkpoints and tests
then count as overhead), and beyond the whole run (what is left is the engine's: processes, ledger, MLflow).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SPEC = """\
name: scale
base:
  model: {name: binary_densenet_flex, blocks: [1, 1, 1, 1], reduction: [1, 1, 1], growth_rate: 8, init_features: 16}
  data: {name: synthetic, train: 32, validation: 16, test: 16}
  training: {epochs: 12, batch_size: 16, optimizer: {name: adam}, schedule: {name: cosine}}
axes:
  model.binarization.scaling: [none, xnor]
  model.growth_rate: [8, 16, 24, 32, 40]
  training.optimizer.lr: [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008, 0.009, 0.01]
  training.batch_size: [4, 8, 12, 16, 20, 24, 28, 32, 36, 40]
"""
SHORT = """\
name: short
base:
  model: {name: resnet_e18, width: 16}
  data: {name: synthetic, train: 256, validation: 64, test: 64, image_size: 8}
  training: {epochs: 8, batch_size: 32, optimizer: {name: adam}, schedule: {name: cosine}}
"""
METRICS = {
    "train/loss": 0.4, "train/top1": 0.8, "val/loss": 0.5, "val/top1": 0.75, "val/top5": 0.97,
    "lr": 0.01, "flip_ratio": 0.02,
}  # fmt: skip


def command(project: Path, *words: str) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bnnlab", *words],
        env={**os.environ, "BNNLAB_PROJECT": str(project)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"bnnlab {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return time.perf_counter() - started


def spec_file(folder: Path, text: str, seeds: int) -> Path:
    path = folder / "studies" / f"{text.split()[1]}_{seeds}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}seeds: {list(range(seeds))}\n")
    return path


def fill(project: Path, spec: Path) -> None:
    """Write every run of a plan as training would have left it, and say that MLflow has them all."""
    from bnnlab.experiment.directory import Epoch
    from bnnlab.experiment.fingerprint import environment
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.plan import read_plan
    from bnnlab.sweep.project import Project
    from bnnlab.tracking.store import tracking_uri

    plan = read_plan(spec)
    ledger = Ledger(project / "runs")
    ledger.save_plan(plan)
    facts = {**environment(), "study": plan.study, "started": 1.0, "finished": 2.0, "training_seconds": 1.0}
    for number, run in enumerate(plan.runs):
        directory = ledger.directory(run.run_key)
        directory.create(run.config)
        directory.set_epochs(tuple(Epoch(index, 1.0 + index, 1.0, METRICS) for index in range(12)))
        final = {"test/top1": 0.7 + number % 97 / 1000, "test/top1_best": 0.75, "model/size_mib": 0.1}
        directory.set_result(final, facts)
    (project / "mlflow.db").touch()
    ledger.set_projected(plan.plan_id, tracking_uri(Project(project)))


def show(name: str, values: list[float], unit: str = "s") -> None:
    spread = f"[{min(values):.2f}, {max(values):.2f}]"
    print(f"{name:52}{statistics.median(values):7.2f} {unit}  {spread}  n {len(values)}", flush=True)


def repeated(repeats: int, act: Callable[[], float]) -> list[float]:
    return [act() for _ in range(repeats)]


def sizes(folder: Path, repeats: int) -> None:
    """Commands on a large plan, and on a large ledger."""
    large = spec_file(folder / "large", SPEC, 100)
    show("plan of 100,000 runs, --json", repeated(3, lambda: command(folder / "large", "plan", str(large), "--json")))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{'  its peak memory':52}{peak:7.0f} MiB")
    project = folder / "finished"
    spec = spec_file(project, SPEC, 10)
    fill(project, spec)
    show("status of 10,000 finished runs, first look", [command(project, "status", str(spec), "--json")])
    show("status, later", repeated(repeats, lambda: command(project, "status", str(spec), "--json")))
    show("status as a table", repeated(repeats, lambda: command(project, "status", str(spec))))
    show("sweep: nothing to do, first time (writes the page)", [command(project, "sweep", str(spec))])
    show("sweep: nothing to do, later", repeated(repeats, lambda: command(project, "sweep", str(spec))))


def overhead(project: Path, runs: int) -> tuple[float, float]:
    """Seconds a run of a sweep of `runs` against one of few: beyond its epochs, and beyond all that the run does."""
    from bnnlab.experiment.execution import cores

    spent = {}
    few = 2 * cores()
    for count in (few, runs):
        place = project / f"short_{count}"
        wall = command(place, "sweep", str(spec_file(place, SHORT, count)))
        seconds = [seconds_of(path) for path in (place / "runs").glob("*/result.json")]
        spent[count] = [wall - sum(part) / cores() for part in zip(*seconds, strict=True)]
    beyond_epochs, beyond_run = (
        (many - at_first) / (runs - few) for many, at_first in zip(spent[runs], spent[few], strict=True)
    )
    return beyond_epochs, beyond_run


def seconds_of(result: Path) -> tuple[float, float]:
    """Of a run's epochs, and from its first line of code to its last."""
    import json

    facts = json.loads(result.read_bytes())["provenance"]
    return float(facts["training_seconds"]), float(facts["finished"]) - float(facts["started"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="0 leaves the plan and the ledger out")
    parser.add_argument("--runs", type=int, default=500, help="0 leaves the overhead of a run out")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = [sys.executable, "-c", "pass"]
        started = time.perf_counter()
        subprocess.run(bare, check=True)
        print(f"python -c pass: {time.perf_counter() - started:.2f} s")
        if chosen.repeats:
            sizes(folder, chosen.repeats)
        if chosen.runs:
            epochs, run = overhead(folder, chosen.runs)
            print(f"{f'a run of a sweep of {chosen.runs}, beyond its epochs':52}{epochs:7.3f} s")
            print(f"{'  beyond all that the run itself does':52}{run:7.3f} s")


if __name__ == "__main__":
    main()
