"""Layers of Bi-Real Net: the blocks are ResNetE1's, what surrounds them differs.

Source: larq_zoo/literature/birealnet.py; BMXNet-v2-examples, `binary_models/binet.py`.
"""

from __future__ import annotations

from torch import nn

from bnnlab.models.bireal_net import Variant
from bnnlab.models.layers import head, input_norm, network
from bnnlab.models.options import Downsampling, Image, Stem
from bnnlab.models.resnet_e.network import stage
from bnnlab.models.stems import stem_layers
from bnnlab.nn.binarization import Binarization


def bireal_net(
    *,
    convolutions: tuple[int, ...],
    channels: tuple[int, ...],
    image: Image,
    num_classes: int,
    variant: Variant,
    stem: Stem,
    downsampling: Downsampling,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Stem, stages of blocks with one binary convolution each, global pool, dense layer.

    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    port = variant == "bmxnet"
    first = stem_layers(stem, image[0], channels[0], relu=port)
    if port:
        first.insert(0, input_norm(image[0]))
    stages = nn.Sequential()
    in_channels = channels[0]
    for index, (length, out_channels) in enumerate(zip(convolutions, channels, strict=True)):
        stages.append(
            stage(
                length,
                in_channels,
                out_channels,
                stride=1 if index == 0 else 2,
                variant="e1",
                downsampling=downsampling,
                slices=1,
                shortcut_norm=not port,
                binarization=binarization,
            )
        )
        in_channels = out_channels
    return network(first, stages, head(in_channels, num_classes, norm=port, relu=port))
