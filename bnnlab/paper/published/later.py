"""What came after the paper: the authors' results of 2020 and their recipe, and Larq's reproduction."""

from __future__ import annotations

from typing import Any

from bnnlab.paper.published.protocols import IMAGENET_2020, larq
from bnnlab.paper.published.tables import Row, Table

_STEMS = {"imagenet": "7x7 stem", "grouped": "grouped stem"}
_NETWORKS: dict[str, tuple[str, float, dict[str, float]]] = {
    "resnet_e18": ("ResNetE18", 1.6763e9, {"imagenet": 1.3728e8, "grouped": 8.791e7}),
    "resnet_e34": ("ResNetE34", 3.5260e9, {"imagenet": 1.3728e8, "grouped": 8.791e7}),
    "binary_densenet28": ("BinaryDenseNet28", 3.5874e9, {"imagenet": 2.0191e8, "grouped": 1.5254e8}),
    "binary_densenet37": ("BinaryDenseNet37", 4.5068e9, {"imagenet": 1.9910e8, "grouped": 1.4973e8}),
    "meliusnet22": ("MeliusNet22", 4.62e9, {"imagenet": 1.8525e8, "grouped": 1.3588e8}),
    "meliusnet29": ("MeliusNet29", 5.47e9, {"imagenet": 1.7823e8, "grouped": 1.2885e8}),
    "meliusnet42": ("MeliusNet42", 9.69e9, {"grouped": 1.7401e8}),
    "meliusnet59": ("MeliusNet59", 1.832e10, {"grouped": 2.4576e8}),
    "meliusnet_a": ("MeliusNet A", 4.85e9, {"grouped": 8.673e7}),
    "meliusnet_b": ("MeliusNet B", 5.72e9, {"grouped": 1.0642e8}),
    "meliusnet_c": ("MeliusNet C", 4.35e9, {"grouped": 8.221e7}),
}
"""Label, binary MACs and full-precision MACs by stem, as the runs logged them."""


def _later(
    name: str,
    stem: str,
    top1: float,
    top5: float,
    size_mib: float,
    run: str,
    batch_size: int,
    **training: Any,
) -> Row:
    label, macs_binary, macs_fp = _NETWORKS[name]
    return Row(
        label=f"{label}, {_STEMS[stem]}",
        config={
            "model.name": name,
            "model.stem": stem,
            **IMAGENET_2020,
            "training.batch_size": batch_size,
            **{path.replace("__", "."): value for path, value in training.items()},
        },
        top1=round(top1 / 100, 3),
        top5=round(top5 / 100, 3),
        size_mib=size_mib,
        macs_fp=macs_fp[stem],
        macs_binary=macs_binary,
        status="confirmed",
        sources=("log2020",),
        run_id=run,
    )


AUTHORS_2020 = Table(
    id="authors_2020",
    title="The authors' later results on ImageNet (June 2020: RAdam, cosine, 120 epochs, window 1.3)",
    identity=("model.stem",),
    rows=(
        _later("resnet_e18", "imagenet", 60.0, 81.9, 4.00, "4d2fef4e", 256),
        _later("resnet_e18", "grouped", 60.6, 82.4, 3.98, "e0622351", 64),
        _later("resnet_e34", "imagenet", 63.2, 84.7, 5.23, "46d848f5", 128),
        _later("resnet_e34", "grouped", 63.7, 84.9, 5.21, "f2167d22", 64),
        _later("binary_densenet28", "imagenet", 61.7, 83.3, 4.04, "c04facb1", 64),
        _later("binary_densenet28", "grouped", 62.6, 84.0, 4.03, "3eb4f582", 64),
        _later("binary_densenet37", "imagenet", 63.3, 84.4, 5.13, "71ab0b40", 32),
        _later("binary_densenet37", "grouped", 64.2, 85.1, 5.12, "859d224e", 32),
    ),
)

_HIGH_BETWEEN = "medium, but high in epochs 12 to 102"

MELIUSNET = Table(
    id="meliusnet",
    title="MeliusNet, the authors' successor (arXiv 2001.05936), on ImageNet as they logged it",
    identity=("model.stem",),
    note="The batches of A and B grew from 64 to 128. MeliusNet59's page quotes 70.7, its log 71.1.",
    rows=(
        _later("meliusnet22", "imagenet", 62.9, 84.3, 3.89, "4c53fae2", 64),
        _later("meliusnet22", "grouped", 63.6, 84.7, 3.88, "3b3ab86b", 64),
        _later("meliusnet29", "imagenet", 64.9, 85.7, 5.08, "631835a1", 64),
        _later("meliusnet29", "grouped", 65.8, 86.2, 5.07, "b75427ab", 64),
        _later("meliusnet42", "grouped", 69.2, 88.3, 10.10, "27dec8d4", 64),
        _later(
            "meliusnet59",
            "grouped",
            71.1,
            89.7,
            17.39,
            "b32820e3",
            96,
            training__epochs=170,
            training__optimizer__lr=0.003,
            data__augmentation=_HIGH_BETWEEN,
        ),
        _later("meliusnet_a", "grouped", 63.4, 84.2, 4.05, "b20876e6", 64),
        _later("meliusnet_b", "grouped", 65.7, 85.9, 5.00, "ac6b05b3", 64),
        _later("meliusnet_c", "grouped", 64.1, 85.0, 4.46, "c02c02a1", 128),
    ),
)

RECIPE = Table(
    id="authors_recipe",
    title="The authors' newest recipe, last epoch (read off two plots)",
    identity=(),
    rows=(
        Row(
            label="binary ResNet18 v1 on CIFAR-10",
            config={
                "model.name": "resnet_v1_18",
                "model.stem": "thumbnail",
                "model.binarization.window": 1.3,
                "data.name": "cifar10",
                "data.augmentation": "pad4_mirror",
                "data.normalization": "standard",
                "training.epochs": 150,
                "training.batch_size": 128,
                "training.optimizer.name": "adam",
                "training.optimizer.lr": 0.02,
                "training.schedule.name": "cosine",
                "training.schedule.warmup_epochs": 5.0,
                "evaluation": "paper",
            },
            top1=0.909,
            size_mib=1.39,
            macs_fp=1.769e6,
            macs_binary=5.5365e8,
            status="confirmed",
            sources=("recipe",),
        ),
        Row(
            label="ResNetE18 on ImageNet",
            config={
                "model.name": "resnet_e18",
                "model.variant": "e1",
                "model.stem": "imagenet",
                **IMAGENET_2020,
                "training.batch_size": 64,
                "training.optimizer.name": "adam",
                "training.schedule.warmup_epochs": 5.0,
            },
            top1=0.595,
            top5=0.815,
            size_mib=4.00,
            macs_fp=1.3728e8,
            macs_binary=1.6763e9,
            status="confirmed",
            sources=("recipe",),
        ),
    ),
)


def _larq(
    name: str, label: str, top1: float, top5: float, size_mib: float, window: float, training: dict[str, Any]
) -> Row:
    return Row(
        label=label,
        config={
            "model.name": name,
            "model.stem": "imagenet",
            **training,
            "model.binarization.window": window,
            "model.binarization.weight_window": window,
            "model.binarization.weight_clip": window,
        },
        top1=round(top1 / 100, 4),
        top5=round(top5 / 100, 4),
        size_mib=size_mib,
        status="confirmed",
        sources=("larq",),
    )


def _larq_other(label: str, top1: float, top5: float, size_mib: float, name: str | None = None) -> Row:
    return Row(
        label=label,
        config={} if name is None else {"model.name": name, "data.name": "imagenet"},
        top1=round(top1 / 100, 4),
        top5=round(top5 / 100, 4),
        size_mib=size_mib,
        status="confirmed",
        sources=("larq",),
        schedule_known=False,
    )


LARQ = Table(
    id="larq",
    title="Larq's reproduction on ImageNet",
    identity=(),
    note="Larq pads with 0, clips its latent weights and gates their gradient, and augments in its own way.",
    rows=(
        _larq(
            "resnet_e18",
            "BinaryResNetE18",
            58.32,
            80.79,
            4.00,
            1.25,
            larq(120, 1024, 0.004, (70, 90, 110), 0.3),
        ),
        _larq(
            "binary_densenet28",
            "BinaryDenseNet28",
            60.91,
            82.83,
            4.04,
            1.3,
            larq(120, 256, 0.004, (100, 110), 0.1),
        ),
        _larq(
            "binary_densenet37",
            "BinaryDenseNet37",
            62.89,
            84.19,
            5.13,
            1.3,
            larq(120, 192, 0.004, (100, 110), 0.1),
        ),
        _larq(
            "binary_densenet37_dilated",
            "BinaryDenseNet37, dilated",
            64.34,
            85.15,
            5.13,
            1.3,
            larq(80, 256, 0.004, (60, 70), 0.1),
        ),
        _larq(
            "binary_densenet45",
            "BinaryDenseNet45",
            64.59,
            85.21,
            7.35,
            1.3,
            larq(125, 384, 0.008, (80, 100), 0.1),
        ),
        _larq_other("Bi-Real Net 18", 57.47, 79.84, 4.00, "bireal_net18"),
        _larq_other("MeliusNet22", 62.4, 83.9, 3.88, "meliusnet22"),
        _larq_other("XNOR-Net AlexNet", 44.96, 69.18, 22.77),
        _larq_other("DoReFa-Net AlexNet", 53.39, 76.50, 22.80),
    ),
)
