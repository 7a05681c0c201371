"""The authors' initial weights."""

from __future__ import annotations

from torch import nn

from bnnlab.nn.layers import BinaryLayer


def initialise(network: nn.Module) -> None:
    """Draw convolutions and dense layers from a normal of variance 2 / fan-in; biases 0, BatchNorm 1 and 0.

    Source: "gaussian" in BMXNet-v2-examples, `image_classification.py` (He et al. 2015, fan-in).
    """
    for layer in network.modules():
        if isinstance(layer, BinaryLayer | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
