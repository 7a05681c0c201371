"""How long a report of many runs takes, and how large its page is.

python benchmarks/report_speed.py            # 1,000 runs of 100 epochs
python benchmarks/report_speed.py --runs 200
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.observation import Observation
from bnnlab.report.build import build_report
from bnnlab.report.study import StudyResults

SEEDS = 5
EPOCHS = 100


def study_of(runs: int) -> StudyResults:
    """A study of two axes of two levels and a width with as many levels as the runs need."""
    axes = {"scaling": ("none", "xnor"), "downsampling": ("binary", "fp")}
    widths = tuple(str(16 * (step + 1)) for step in range(max(1, runs // (4 * SEEDS))))
    random = np.random.default_rng(0)
    training = {"epochs": EPOCHS, "batch_size": 64, "optimizer": {"name": "adam"}, "schedule": {"name": "cosine"}}
    observations = []
    for scaling in axes["scaling"]:
        for downsampling in axes["downsampling"]:
            for width in widths:
                for seed in range(SEEDS):
                    model = {
                        "name": "resnet_e18",
                        "width": int(width),
                        "downsampling": downsampling,
                        "binarization": {"scaling": scaling},
                    }
                    data = {"name": "digits"}
                    config = RunConfig.model_validate(
                        {"model": model, "data": data, "training": training, "seed": seed}
                    )
                    curve = np.sort(random.uniform(0.3, 0.9, EPOCHS))
                    epochs = tuple(
                        {"val/top1": float(v), "train/loss": float(1 - v), "flip_ratio": 0.01} for v in curve
                    )
                    size = float(width) ** 2 / 1000
                    metrics = {
                        "test/top1": float(curve[-1]),
                        "test/top1_best": float(curve[-1]),
                        "model/size_mib": size,
                    }
                    record = RunRecord(config.run_key, config, RunState.FINISHED, epochs, metrics)
                    axes_of_run = {"scaling": scaling, "downsampling": downsampling, "width": width}
                    observations.append(Observation(axes_of_run, seed, record))
    question = "How long does a report take?"
    return StudyResults(
        "report_speed",
        question,
        "digits",
        "0" * 12,
        {**axes, "width": widths},
        observations,
        compare_with="cifar10_ablation",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    study = study_of(parser.parse_args().runs)
    build_report(study_of(20)).html()  # imports and the bundled scripts, which a command pays once
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        page = build_report(study).html()
        seconds.append(time.perf_counter() - start)
    print(f"{len(study.observations):,} runs of {EPOCHS} epochs: median {median(seconds):.1f} s of three, ", end="")
    print(f"{len(page.encode()) / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
