"""Runs a minute of `bnnlab sweep` against Hydra's multirun with its joblib launcher, two jobs at a time.

    pip install hydra-core hydra-joblib-launcher
    python benchmarks/engine_vs_hydra.py [--runs 24] [--repeats 3]

Both train the same configurations with the same function and log the same rows into an MLflow store of the same
kind, which is there before the clock starts. Each is timed from its command to its end, interpreters included; then
each command is repeated, as after a crash that nobody remembers the details of. The sides are taken in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOBS = 2
SPEC = """\
name: short
base:
  model: {{name: resnet_e18, width: 16}}
  data: {{name: synthetic, train: 256, validation: 64, test: 64, image_size: 8}}
  training: {{epochs: 6, batch_size: 32, optimizer: {{name: adam}}, schedule: {{name: cosine}}}}
seeds: {seeds}
"""


def make_project(folder: Path, runs: int) -> Path:
    """A project with a spec and a fresh store."""
    from bnnlab.sweep.project import Project
    from bnnlab.tracking.store import open_client

    (folder / "studies").mkdir(parents=True)
    spec = folder / "studies" / "short.yaml"
    spec.write_text(SPEC.format(seeds=list(range(runs))))
    open_client(Project(folder))
    return spec


def timed(command: list[str], folder: Path, spec: Path) -> float:
    environment = {
        **os.environ,
        "BNNLAB_PROJECT": str(folder),
        "BENCHMARK_PROJECT": str(folder),
        "BENCHMARK_SPEC": str(spec),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "OMP_NUM_THREADS": "1",
    }
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def finished(folder: Path) -> int:
    return len(list((folder / "runs").glob("*/result.json")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    job = Path(__file__).with_name("hydra_job.py")
    ratios = []
    for number in range(chosen.repeats):
        seconds = {}
        for side in ("bnnlab", "hydra"):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                spec = make_project(folder, chosen.runs)
                command = {
                    "bnnlab": [sys.executable, "-m", "bnnlab", "sweep", str(spec), "--workers", str(JOBS)],
                    "hydra": [
                        sys.executable, str(job), "--multirun",
                        "hydra/launcher=joblib", f"hydra.launcher.n_jobs={JOBS}", f"+run=range(0,{chosen.runs})",
                    ],
                }[side]  # fmt: skip
                seconds[side] = timed(command, folder, spec)
                if finished(folder) != chosen.runs:
                    raise SystemExit(f"{side} finished {finished(folder)} of {chosen.runs} runs")
                if side == "bnnlab":
                    again = timed(command, folder, spec)
        ratio = seconds["hydra"] / seconds["bnnlab"]
        ratios.append(ratio)
        speeds = ", ".join(f"{side} {60 * chosen.runs / spent:.1f} runs a minute" for side, spent in seconds.items())
        print(f"{number + 1}: {speeds}: {ratio:.2f} times; bnnlab's second sweep {again:.1f} s", flush=True)
    print(f"times: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}, n {len(ratios)}")


if __name__ == "__main__":
    main()
