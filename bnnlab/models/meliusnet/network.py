"""Layers of MeliusNet. Source: BMXNet-v2-examples, `binary_models/meliusnet.py`."""

from __future__ import annotations

from torch import Tensor, nn

from bnnlab.models.binary_densenet.network import DenseLayer, reduced_channels
from bnnlab.models.layers import activated_conv, head, max_pool, network
from bnnlab.models.options import Image, Stem
from bnnlab.models.resnet_e.network import add_slice
from bnnlab.models.stems import stem_layers
from bnnlab.nn.binarization import Binarization

SHUFFLE_GROUPS = 16


class ImprovementLayer(nn.Module):
    """BatchNorm, sign, 3x3 binary convolution of all channels, added to the last `improved` ones.

    Shape: (batch, channels, height, width) -> the same.
    """

    def __init__(self, channels: int, improved: int, *, dilation: int, binarization: Binarization | None) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = activated_conv(channels, improved, 3, dilation=dilation, binarization=binarization)
        self.first = channels - improved

    def forward(self, x: Tensor) -> Tensor:
        return add_slice(x, self.conv(self.norm(x)), self.first)


def transition_layers(in_channels: int, out_channels: int, *, groups: int, pool: bool) -> nn.Sequential:
    """BatchNorm, max pool, ReLU, full-precision 1x1 convolution; a grouped one after a channel shuffle."""
    layers = nn.Sequential(nn.BatchNorm2d(in_channels))
    if pool:
        layers.append(max_pool())
    layers.append(nn.ReLU())
    if groups > 1:
        layers.append(nn.ChannelShuffle(SHUFFLE_GROUPS))
    return layers.append(nn.Conv2d(in_channels, out_channels, 1, groups=groups, bias=False))


def meliusnet(
    *,
    blocks: tuple[int, ...],
    growth_rate: int,
    init_features: int,
    reduction: tuple[float, ...],
    transition_groups: int,
    dilation: tuple[int, ...],
    image: Image,
    num_classes: int,
    stem: Stem,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Stem, stages of dense and improvement layers in turn, transitions, BatchNorm, ReLU, pool, dense layer.

    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    stages = nn.Sequential()
    channels = init_features
    for index, length in enumerate(blocks):
        stage = nn.Sequential()
        if index > 0:
            entering = reduced_channels(channels, reduction[index - 1])
            stage.append(transition_layers(channels, entering, groups=transition_groups, pool=dilation[index] == 1))
            channels = entering
        for _ in range(length):
            stage.append(DenseLayer(channels, growth_rate, dilation=dilation[index], binarization=binarization))
            channels += growth_rate
            stage.append(ImprovementLayer(channels, growth_rate, dilation=dilation[index], binarization=binarization))
        stages.append(stage)
    first = stem_layers(stem, image[0], init_features)
    return network(first, stages, head(channels, num_classes, norm=True, relu=True))
