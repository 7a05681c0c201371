"""CIFAR-10: the paper's ablation, and the authors' log of the same grid for both versions of ResNetE."""

from __future__ import annotations

from typing import Literal

from bnnlab.paper.published.protocols import CIFAR10_2018
from bnnlab.paper.published.tables import Row, Table

Downsampling = Literal["binary", "fp"]
Gradient = Literal["ste", "approx_sign"]

GRID = ("model.binarization.scaling", "model.downsampling", "model.binarization.estimator")

_E2_SIZE = {"binary": 1.39, "fp": 2.02}
_E1_SIZE = {"binary": 1.39, "fp": 2.03}
_MACS_FP = {"binary": 1.769e6, "fp": 8.061e6}
_MACS_BINARY = {"binary": 5.5365e8, "fp": 5.4736e8}


def settings(variant: str, scaling: str, downsampling: Downsampling, gradient: Gradient) -> dict[str, object]:
    """Configuration of a cell of the grid, without its training."""
    return {
        "model.name": "resnet_e18",
        "model.variant": variant,
        "model.downsampling": downsampling,
        "model.binarization.scaling": scaling,
        "model.binarization.estimator": gradient,
        # One option of the authors' code switched activations and weights together.
        "model.binarization.weight_estimator": gradient,
        "model.binarization.window": 1.0,
    }


def _paper(scaling: str, downsampling: Downsampling, gradient: Gradient, top1: float, top5: float, run: str) -> Row:
    return Row(
        label=f"ResNetE18, scaling {scaling}, {downsampling} downsampling, {gradient}",
        config={**settings("e2", scaling, downsampling, gradient), "model.stem": "thumbnail", **CIFAR10_2018},
        top1=round(top1 / 100, 3),
        top5=round(top5 / 100, 3),
        size_mib=_E2_SIZE[downsampling],
        macs_binary=_MACS_BINARY[downsampling],
        macs_fp=_MACS_FP[downsampling],
        status="confirmed",
        sources=("paper", "log"),
        run_id=run,
    )


ABLATION = Table(
    id="cifar10_ablation",
    number=1,
    title="Scaling, downsampling and gradient: binary ResNetE18 on CIFAR-10",
    identity=GRID,
    note="Version 2 of ResNetE (E2, pre-activation): the rows equal the authors' log. Sizes are computed.",
    rows=(
        _paper("none", "binary", "approx_sign", 84.9, 99.3, "512c14e1"),
        _paper("none", "binary", "ste", 87.2, 99.5, "c997eadf"),
        _paper("none", "fp", "approx_sign", 86.1, 99.4, "23854efc"),
        _paper("none", "fp", "ste", 87.6, 99.5, "01686f78"),
        _paper("xnor", "binary", "approx_sign", 84.2, 99.2, "861709f7"),
        _paper("xnor", "binary", "ste", 83.6, 99.2, "3bde3fa1"),
        _paper("xnor", "fp", "approx_sign", 84.4, 99.3, "60ef08db"),
        _paper("xnor", "fp", "ste", 84.7, 99.2, "c9d781b6"),
    ),
)


def _logged(
    variant: str,
    scaling: str,
    downsampling: Downsampling,
    gradient: Gradient,
    top1: float,
    top5: float,
    run: str,
) -> Row:
    return Row(
        label=f"ResNet{variant.upper()}18, scaling {scaling}, {downsampling} downsampling, {gradient}",
        config={
            **settings(variant, scaling, downsampling, gradient),
            "model.stem": "thumbnail",
            **CIFAR10_2018,
        },
        top1=top1,
        top5=top5,
        size_mib=(_E1_SIZE if variant == "e1" else _E2_SIZE)[downsampling],
        macs_binary=_MACS_BINARY[downsampling],
        macs_fp=_MACS_FP[downsampling],
        status="confirmed",
        sources=("log",),
        run_id=run,
    )


LOGGED_GRID = Table(
    id="cifar10_grid",
    title="The same grid for both versions of ResNetE18, as the authors logged it",
    identity=("model.variant", *GRID),
    note=(
        "Best epoch of each run, one seed (123). Accuracies are averages over whole batches, so 0.1 point "
        "is not meaningful. The scaling penalty of E2 is not there with E1 and STE."
    ),
    rows=(
        _logged("e1", "none", "binary", "approx_sign", 0.841146, 0.992989, "45c310d5"),
        _logged("e1", "none", "binary", "ste", 0.856470, 0.992989, "44db0eb4"),
        _logged("e1", "none", "fp", "approx_sign", 0.849459, 0.992989, "5b75bfeb"),
        _logged("e1", "none", "fp", "ste", 0.860777, 0.992989, "555b0368"),
        _logged("e1", "xnor", "binary", "approx_sign", 0.837240, 0.991787, "61831fea"),
        _logged("e1", "xnor", "binary", "ste", 0.855669, 0.993289, "98ba31dd"),
        _logged("e1", "xnor", "fp", "approx_sign", 0.837841, 0.991486, "b6dfc6d9"),
        _logged("e1", "xnor", "fp", "ste", 0.860877, 0.991987, "ec93eaae"),
        _logged("e2", "none", "binary", "approx_sign", 0.849359, 0.993289, "512c14e1"),
        _logged("e2", "none", "binary", "ste", 0.871695, 0.994792, "c997eadf"),
        _logged("e2", "none", "fp", "approx_sign", 0.861278, 0.994191, "23854efc"),
        _logged("e2", "none", "fp", "ste", 0.876302, 0.995092, "01686f78"),
        _logged("e2", "xnor", "binary", "approx_sign", 0.841546, 0.992388, "861709f7"),
        _logged("e2", "xnor", "binary", "ste", 0.835637, 0.992087, "3bde3fa1"),
        _logged("e2", "xnor", "fp", "approx_sign", 0.844251, 0.992989, "60ef08db"),
        _logged("e2", "xnor", "fp", "ste", 0.846554, 0.992188, "c9d781b6"),
    ),
)
