"""The binary convolution against the same convolution written with explicit signs and explicit padding."""

import pytest
import torch
import torch.nn.functional as F

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.layers import BinaryConv2d


@pytest.mark.parametrize("output", ["signed", "popcount"])
@pytest.mark.parametrize("padding_value", [-1, 0, 1])
@pytest.mark.parametrize(("stride", "dilation", "groups"), [(1, 1, 1), (2, 1, 1), (1, 2, 1), (2, 2, 2)])
def test_padding_equals_explicit_padding(
    output: str, padding_value: int, stride: int, dilation: int, groups: int
) -> None:
    torch.manual_seed(0)
    binarization = Binarization.model_validate({"padding_value": padding_value, "output": output})
    conv = BinaryConv2d(
        4, 6, 3, stride=stride, padding=dilation, dilation=dilation, groups=groups, binarization=binarization
    )
    x = torch.randn(2, 4, 7, 7)

    padded = F.pad(torch.where(x >= 0, 1.0, -1.0), [dilation] * 4, value=padding_value)
    weight = torch.where(conv.weight >= 0, 1.0, -1.0)
    expected = F.conv2d(padded, weight, stride=stride, dilation=dilation, groups=groups)
    if output == "popcount":
        expected = (expected + weight[0].numel()) / 2

    assert torch.equal(conv(x), expected)
