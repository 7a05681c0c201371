"""How much of a sweep is training: wall time of `bnnlab sweep` against the same steps in a bare PyTorch loop.

    python benchmarks/study_efficiency.py [--repeats 3] [--spec studies/scaling_ablation.yaml]
        [--set training.epochs=16]

The bare loop knows no validation, no metrics, no checkpoint, no MLflow and no resuming: it builds the same
networks, draws the same batches and takes the same optimizer steps, its runs divided over as many processes as
there are cores, one thread each. Both sides start from a cold interpreter and are taken in turn. Efficiency is bare
time / sweep time, pair by pair.
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

CORES = len(os.sched_getaffinity(0))


def sweep(spec: Path, settings: list[str], project: Path) -> float:
    """Seconds that a sweep of `spec` into an empty project takes."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bnnlab", "sweep", str(spec.resolve()), *options(settings)],
        env={**os.environ, "BNNLAB_PROJECT": str(project)}, check=True, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - started


def options(settings: list[str]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def bare(spec: Path, settings: list[str]) -> float:
    """Seconds that the training steps of `spec` alone take."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--spec", str(spec), *options(settings), "--share"]
    processes = [subprocess.Popen([*command, str(share)]) for share in range(CORES)]
    if any(process.wait() for process in processes):
        raise SystemExit("a bare loop failed")
    return time.perf_counter() - started


def train_share(spec: Path, settings: list[str], share: int) -> None:
    """The training steps of every CORES-th run."""
    import torch
    from torch.nn import functional as F

    from bnnlab.data.config import image_shape, num_classes
    from bnnlab.data.loading import load
    from bnnlab.experiment.optim import build_optimizer, learning_rate_factor
    from bnnlab.models.config import build
    from bnnlab.sweep.plan import read_plan

    torch.set_num_threads(1)
    for run in read_plan(spec, settings=settings).runs[share::CORES]:
        config = run.config
        data = load(config.data, evaluation=config.evaluation, batch_size=config.training.batch_size, seed=config.seed)
        torch.manual_seed(config.seed)
        network = build(config.model, image=image_shape(config.data), num_classes=num_classes(config.data)).train()
        optimizer = build_optimizer(config.training.optimizer, network)
        steps = len(data.train_batches(0))
        factor = learning_rate_factor(config.training.schedule, epochs=config.training.epochs, steps_per_epoch=steps)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        for epoch in range(config.training.epochs):
            for images, labels in data.train_batches(epoch):
                optimizer.zero_grad()
                F.cross_entropy(network(images), labels).backward()
                optimizer.step()
                schedule.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=Path, default=Path("studies/scaling_ablation.yaml"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="as of bnnlab sweep")
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.share is not None:
        train_share(arguments.spec, arguments.set, arguments.share)
        return
    ratios = []
    for repeat in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as project:
            sweep_s = sweep(arguments.spec, arguments.set, Path(project))
        bare_s = bare(arguments.spec, arguments.set)
        ratios.append(bare_s / sweep_s)
        print(f"{repeat + 1}: sweep {sweep_s:.1f} s, bare loop {bare_s:.1f} s, efficiency {ratios[-1]:.3f}", flush=True)
    print(
        f"efficiency: median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}, n {len(ratios)}"
    )


if __name__ == "__main__":
    main()
