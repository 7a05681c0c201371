"""How the authors and Larq trained what they published, by dotted path in `RunConfig`."""

from __future__ import annotations

from typing import Any

from bnnlab.paper.published.tables import OneOf

Settings = dict[str, Any]


def steps(milestones: tuple[int, ...], factor: float) -> Settings:
    """A step schedule of 2018.

    Its step S takes effect only once the zero-based epoch exceeds S (BMXNet-v2-examples,
    image_classification.py), so that S + 1 epochs run at the old rate; a run that steps at S itself counts
    as the same protocol.
    """
    return {
        "training.schedule.name": "step",
        "training.schedule.milestones": OneOf((list(milestones), [step + 1 for step in milestones])),
        "training.schedule.factor": factor,
    }


CIFAR10_2018: Settings = {
    "data.name": "cifar10",
    "data.augmentation": "level3",
    "data.normalization": "none",
    "training.epochs": 150,
    "training.batch_size": 128,
    "training.optimizer.name": "adam",
    "training.optimizer.lr": 0.01,
    "training.optimizer.weight_decay": 0.0,
    **steps((75, 100, 125), 0.3),
    "evaluation": "paper",
}
"""Every CIFAR-10 run of 2018. Source: the runs' logs in hpi-xnor/BMXNet-v2-wiki."""

_IMAGENET: Settings = {"data.name": "imagenet", "data.image_size": 224, "evaluation": "paper"}

IMAGENET_2018: Settings = {
    **_IMAGENET,
    # The logs say level 3, but the level was not handed to the ImageNet loader: a crop and a mirror.
    "data.augmentation": "low",
    "data.normalization": "none",
    "training.optimizer.name": "adam",
    "training.optimizer.lr": 0.001,
    "training.optimizer.weight_decay": 0.0,
}

IMAGENET_40: Settings = {**IMAGENET_2018, "training.epochs": 40, **steps((34, 37), 0.1)}
IMAGENET_50: Settings = {**IMAGENET_2018, "training.epochs": 50, **steps((40, 45), 0.1)}
IMAGENET_60: Settings = {**IMAGENET_2018, "training.epochs": 60, **steps((30, 40, 50), 0.1)}

IMAGENET_2020: Settings = {
    **_IMAGENET,
    "data.augmentation": "medium",
    "data.normalization": "standard",
    "training.epochs": 120,
    "training.optimizer.name": "radam",
    "training.optimizer.lr": 0.002,
    "training.optimizer.weight_decay": 0.0,
    "training.schedule.name": "cosine",
    "training.schedule.warmup_epochs": 0.0,
    "model.binarization.window": 1.3,
}
"""The runs of June 2020."""

IMAGENET_UNKNOWN: Settings = {**_IMAGENET, "model.binarization.window": 1.3}
"""The final models of the paper: no log of them could be read, and the window is recalled."""


def larq(epochs: int, batch_size: int, lr: float, milestones: tuple[int, ...], factor: float) -> Settings:
    """Larq's reproduction. Its augmentation is Larq's own, which bnnlab does not have."""
    return {
        **_IMAGENET,
        "data.augmentation": "larq",
        "training.epochs": epochs,
        "training.batch_size": batch_size,
        "training.optimizer.name": "adam",
        "training.optimizer.lr": lr,
        "training.schedule.name": "step",
        "training.schedule.milestones": list(milestones),
        "training.schedule.factor": factor,
        "model.binarization.padding_value": 0,
        "model.binarization.output": "signed",
    }
