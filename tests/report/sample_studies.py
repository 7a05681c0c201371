"""Studies to report on: the authors' sixteen CIFAR-10 runs as a user's, and simulated grids of any size."""

from __future__ import annotations

from itertools import product

import numpy as np
from pydantic import TypeAdapter

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.claims import Claim
from bnnlab.paper.observation import Observation
from bnnlab.paper.published import TABLES
from bnnlab.report.study import StudyResults

CLAIMS: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])
PAPER = "arXiv 1906.08637, CIFAR-10 ablation, mean over its four pairs"


def run_config(variant="e2", scaling="none", downsampling="fp", estimator="ste", seed=123, **changes):
    binarization = {"scaling": scaling, "estimator": estimator, "weight_estimator": estimator}
    if scaling != "none":
        binarization["output"] = "signed"
    data = {"name": "cifar10", "augmentation": "level3", "normalization": "none"}
    training = {
        "epochs": 150,
        "batch_size": 128,
        "optimizer": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "step", "milestones": [75, 100, 125], "factor": 0.3},
    }
    model = {
        "name": "resnet_e18",
        "variant": variant,
        "stem": "thumbnail",
        "downsampling": downsampling,
        "binarization": binarization,
    }
    parts = {"model": model, "data": data, "training": training, "evaluation": "paper", "seed": seed} | changes
    return RunConfig.model_validate(parts)


def effect(name, text, axis, treatment, control, expect, difference=None, within=None):
    claim = {"id": name, "text": text, "metric": "test/top1_best", "axis": axis, "treatment": treatment}
    claim |= {"control": control, "expect": expect, "within": within or {}}
    if difference is not None:
        claim["published"] = {"difference": difference, "source": PAPER, "status": "confirmed"}
    return claim


E2 = {"variant": "e2"}
PAPER_CLAIMS = [
    effect(
        "scaling_not_needed",
        "Training from scratch does as well without scaling factors.",
        "scaling",
        "xnor",
        "none",
        {"at_most": 0.5},
        -2.2,
        E2,
    ),
    effect(
        "fp_downsampling_helps",
        "A full-precision downsampling convolution gains accuracy.",
        "downsampling",
        "fp",
        "binary",
        {"direction": "increase"},
        0.7,
        E2,
    ),
    effect(
        "approxsign_not_needed",
        "Without scaling, a custom gradient gains nothing.",
        "estimator",
        "approx_sign",
        "ste",
        {"at_most": 0.5},
        -1.9,
        E2 | {"scaling": "none"},
    ),
    {
        **effect(
            "penalty_is_of_e2",
            "The penalty of scaling is larger with E2 than with E1.",
            "scaling",
            "xnor",
            "none",
            {"direction": "decrease"},
        ),
        "interaction_with": {"axis": "variant", "levels": ["e2", "e1"]},
    },
]
AXES = {
    "variant": ("e1", "e2"),
    "scaling": ("none", "xnor"),
    "downsampling": ("binary", "fp"),
    "estimator": ("ste", "approx_sign"),
}


def authors_sixteen(decimals=3):
    """The authors' sixteen runs, each as if a user had trained it; accuracies as the paper rounds them."""
    observations = []
    for row in TABLES["cifar10_grid"].rows:
        at = row.config
        axes = {
            "variant": at["model.variant"],
            "scaling": at["model.binarization.scaling"],
            "downsampling": at["model.downsampling"],
            "estimator": at["model.binarization.estimator"],
        }
        config = run_config(**axes)
        metrics = {"test/top1_best": round(row.top1, decimals), "test/top5_best": row.top5}
        metrics |= {"model/size_mib": row.size_mib, "model/macs_fp": row.macs_fp, "model/macs_binary": row.macs_binary}
        record = RunRecord(config.run_key, config, RunState.FINISHED, (), metrics)
        observations.append(Observation(axes, 123, record))
    order = {axis: {level: at for at, level in enumerate(levels)} for axis, levels in AXES.items()}
    observations.sort(key=lambda run: [order[axis][run.axes[axis]] for axis in AXES])
    return StudyResults(
        name="authors_log",
        question="Do scaling factors or a custom gradient help a binary network that is trained from scratch?",
        profile="cifar10",
        plan="0123456789ab",
        axes=AXES,
        observations=observations,
        claims=CLAIMS.validate_python(PAPER_CLAIMS),
        compare_with="cifar10_grid",
    )


def simulated(seeds=5, epochs=40, widths=("64",), unfinished=0, **study):
    """A grid with known effects (scaling -2 points, fp downsampling +1, approx_sign -0.5) and training curves."""
    axes = {**AXES, "width": widths} if len(widths) > 1 else dict(AXES)
    random = np.random.default_rng(0)
    observations = []
    for levels in product(*axes.values()):
        cell = dict(zip(axes, levels, strict=True))
        for seed in range(seeds):
            observations.append(_simulated_run(random, cell, seed, epochs))
    for index in range(unfinished):
        run = observations[-1 - index]
        observations[-1 - index] = Observation(run.axes, run.seed, None)
    record = observations[0].record
    settings = {
        "name": "scaling_ablation",
        "question": "Do scaling factors or a custom gradient help a binary network that is trained from scratch?",
        "profile": "digits",
        "plan": "0123456789ab",
        "axes": axes,
        "observations": observations,
        "claims": CLAIMS.validate_python(PAPER_CLAIMS),
        "compare_with": "cifar10_ablation",
        "spec_text": "name: scaling_ablation\naxes: {…}\n",
        "links": {record.run_key: "http://127.0.0.1:5000/#/experiments/1/runs/abc"},
        "reused": {record.run_key: "an_earlier_study"},
        "provenance": {"code version": "0.1.0", "machine": "2 cores"},
    }
    return StudyResults(**settings | study)


def _simulated_run(random, cell, seed, epochs):
    width = int(cell.get("width", "64"))
    top1 = 0.86 + 0.01 * np.log2(width / 64)
    top1 -= 0.02 * (cell["scaling"] == "xnor") * (1.4 if cell["variant"] == "e2" else 0.6)
    top1 += 0.01 * (cell["downsampling"] == "fp") - 0.005 * (cell["estimator"] == "approx_sign")
    top1 += random.normal(0, 0.002)
    steps = np.arange(1, epochs + 1)
    values = top1 * (1 - 0.7 * np.exp(-5 * steps / epochs)) + random.normal(0, 0.003, epochs)
    curve = tuple(
        {
            "train/loss": float(2.3 * np.exp(-3 * step / epochs)),
            "train/top1": float(min(1, value + 0.03)),
            "val/top1": float(value),
            "lr": 0.01 * 0.3 ** int(3 * step / epochs),
            "flip_ratio": float(0.1 * np.exp(-4 * step / epochs)),
        }
        for step, value in zip(steps, values, strict=True)
    )
    axes = {axis: level for axis, level in cell.items() if axis != "width"}
    config = run_config(**axes, seed=seed, data={"name": "digits"})
    size = (1.39 if cell["downsampling"] == "binary" else 2.02) * (width / 64) ** 2
    metrics = {
        "test/top1": float(values[-1]),
        "test/top1_best": float(top1),
        "test/top5_best": 0.99,
        "model/size_mib": size,
        "model/macs_fp": 8.06e6 * width / 64,
        "model/macs_binary": 5.47e8 * (width / 64) ** 2,
    }
    key = f"{config.run_key[:12]}{width:04d}"
    provenance = {"code": "b0fbbdd", "machine": "worker-1"}
    return Observation(cell, seed, RunRecord(key, config, RunState.FINISHED, curve, metrics, None, provenance))
