"""The order of layers, which counts cannot see: each block against the same block written out.

Source: hpi-xnor/BMXNet-v2-examples, binary_models/; larq_zoo/literature/birealnet.py.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnlab.models.binary_densenet.network import DenseLayer, reduced_channels
from bnnlab.models.binary_densenet.network import transition_layers as dense_transition
from bnnlab.models.config import MODELS, OPTIONS, build
from bnnlab.models.layers import ReluConv2d
from bnnlab.models.meliusnet.network import ImprovementLayer
from bnnlab.models.meliusnet.network import transition_layers as melius_transition
from bnnlab.models.resnet.network import BlockV1, BlockV2
from bnnlab.models.resnet_e.network import BlockE1, BlockE2, stage
from bnnlab.nn.binarization import AUTHORS, Binarization


@pytest.fixture
def x() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 32, 7, 7)


def binary(x: Tensor, conv: nn.Module, *, stride: int = 1) -> Tensor:
    """The authors' binary convolution: sign, padding by -1, popcount (y + N) / 2."""
    weight = conv.get_parameter("weight")
    padded = F.pad(torch.where(x >= 0, 1.0, -1.0), [(weight.shape[-1] - 1) // 2] * 4, value=-1.0)
    return (F.conv2d(padded, torch.where(weight >= 0, 1.0, -1.0), stride=stride) + weight[0].numel()) / 2


def normed(x: Tensor) -> Tensor:
    """A new BatchNorm in training mode."""
    return F.batch_norm(x, None, None, training=True)


def pooled(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True)


def blocks(variant: str, downsampling: str) -> nn.Sequential:
    torch.manual_seed(1)
    return stage(
        2,
        32,
        64,
        stride=2,
        variant=variant,  # type: ignore[arg-type]
        downsampling=downsampling,  # type: ignore[arg-type]
        slices=1,
        shortcut_norm=variant == "e1",
        binarization=AUTHORS,
    )


@pytest.mark.parametrize("downsampling", ["fp", "binary"])
def test_blocks_of_e1(x: Tensor, downsampling: str) -> None:
    first, second = blocks("e1", downsampling)
    assert isinstance(first, BlockE1)
    conv = first.shortcut.get_submodule("1")
    small = F.conv2d(pooled(x), conv.weight) if downsampling == "fp" else binary(pooled(x), conv)
    y = normed(binary(x, first.conv, stride=2)) + normed(small)

    assert torch.allclose(first(x), y, atol=1e-5)
    assert torch.allclose(second(y), normed(binary(y, second.conv)) + y, atol=1e-5)


@pytest.mark.parametrize("downsampling", ["fp", "binary"])
def test_blocks_of_e2(x: Tensor, downsampling: str) -> None:
    first, second = blocks("e2", downsampling)
    assert isinstance(first, BlockE2)
    assert first.shortcut is not None
    conv = first.shortcut.get_submodule("1")
    n = normed(x)
    small = F.conv2d(pooled(n), conv.weight) if downsampling == "fp" else binary(pooled(n), conv)
    y = binary(n, first.conv, stride=2) + small

    assert torch.allclose(first(x), y, atol=1e-4)
    assert torch.allclose(second(y), binary(normed(y), second.conv) + y, atol=1e-4)


def test_blocks_of_resnet_v1(x: Tensor) -> None:
    torch.manual_seed(1)
    first = BlockV1(32, 64, stride=2, downsampling="binary", binarization=AUTHORS)
    a, b = first.body.get_submodule("0"), first.body.get_submodule("2")
    shortcut = first.shortcut.get_submodule("0")
    y = normed(binary(normed(binary(x, a, stride=2)), b)) + normed(binary(x, shortcut, stride=2))

    assert torch.allclose(first(x), y, atol=1e-5)


def test_blocks_of_resnet_v2(x: Tensor) -> None:
    torch.manual_seed(1)
    first = BlockV2(32, 64, stride=2, downsampling="binary", binarization=AUTHORS)
    second = BlockV2(32, 32, stride=1, downsampling="binary", binarization=AUTHORS)
    a, b = first.body.get_submodule("0"), first.body.get_submodule("2")
    assert first.shortcut is not None
    n = normed(x)

    assert torch.allclose(
        first(x),
        binary(normed(binary(n, a, stride=2)), b) + binary(n, first.shortcut, stride=2),
        atol=1e-5,
    )
    a, b = second.body.get_submodule("0"), second.body.get_submodule("2")
    assert torch.allclose(second(x), binary(normed(binary(n, a)), b) + x, atol=1e-5)


def test_a_dense_layer_follows_its_input(x: Tensor) -> None:
    layer = DenseLayer(32, 8, dilation=1, binarization=AUTHORS)

    assert torch.allclose(layer(x), torch.cat([x, binary(normed(x), layer.conv)], 1), atol=1e-5)


def test_an_improvement_layer_adds_to_the_last_channels(x: Tensor) -> None:
    layer = ImprovementLayer(32, 8, dilation=1, binarization=AUTHORS)
    update = binary(normed(x), layer.conv)

    assert torch.allclose(layer(x), torch.cat([x[:, :24], x[:, 24:] + update], 1), atol=1e-5)


@pytest.mark.parametrize(
    ("transition", "formula"),
    [
        ("pool_relu_fp", lambda n, conv: F.conv2d(F.relu(F.max_pool2d(n, 2, ceil_mode=True)), conv.weight)),
        ("fp_pool", lambda n, conv: pooled(F.conv2d(n, conv.weight))),
        ("relu_fp_pool", lambda n, conv: pooled(F.conv2d(F.relu(n), conv.weight))),
        ("binary_pool", lambda n, conv: pooled(binary(n, conv))),
    ],
)
def test_the_layers_of_a_transition_are_in_the_order_of_its_name(x: Tensor, transition, formula) -> None:  # type: ignore[no-untyped-def]
    layers = dense_transition(32, 16, transition=transition, pool=True, binarization=AUTHORS)
    (conv,) = (layer for layer in layers if any(True for _ in layer.parameters()) and "Norm" not in str(layer))

    assert torch.allclose(layers(x), formula(normed(x), conv), atol=1e-5)


def test_a_transition_of_meliusnet_shuffles_before_its_grouped_convolution(x: Tensor) -> None:
    layers = melius_transition(32, 16, groups=4, pool=True)
    conv = layers.get_submodule("4")
    assert isinstance(conv, nn.Conv2d)
    y = F.relu(F.max_pool2d(normed(x), 2, ceil_mode=True))
    shuffled = y.view(2, 16, 2, 4, 4).transpose(1, 2).reshape(2, 32, 4, 4)

    assert torch.allclose(layers(x), F.conv2d(shuffled, conv.weight, groups=4), atol=1e-5)


def test_a_transition_into_a_dilated_stage_does_not_pool(x: Tensor) -> None:
    layers = dense_transition(32, 16, transition="pool_relu_fp", pool=False, binarization=AUTHORS)

    assert layers(x).shape == (2, 16, 7, 7)


@pytest.mark.parametrize(
    ("channels", "reduction", "kept"),  # every transition of the authors' networks
    [
        (448, 2.7, 160), (544, 2.7, 192), (576, 2.2, 256),
        (448, 3.3, 128), (640, 3.3, 192), (960, 4, 256),
        (928, 3.3, 288), (1184, 4, 288),
        (320, 1, 320), (576, 1.4, 416), (672, 1.4, 480),
        (320, 2, 160), (416, 2, 192), (448, 2, 224), (544, 2, 256),
    ],
)  # fmt: skip
def test_channels_are_rounded_to_multiples_of_32_with_ties_to_even(channels: int, reduction: float, kept: int) -> None:
    assert reduced_channels(channels, reduction) == kept


def layers_of(name: str, **options: object) -> list[nn.Module]:
    network = build(OPTIONS[name].model_validate(options), image=(3, 64, 64), num_classes=5)
    return [layer for layer in network.modules() if not list(layer.children())]


@pytest.mark.parametrize("name", MODELS)
def test_batch_norm_is_the_authors(name: str) -> None:
    """Weight 0.9 for the old statistics is PyTorch's momentum 0.1; epsilon 1e-5, for the raw image 2e-5."""
    small = {"width": 16} if "width" in OPTIONS[name].model_fields else {"growth_rate": 16}
    norms = [layer for layer in layers_of(name, **small) if isinstance(layer, nn.BatchNorm2d)]

    assert {norm.momentum for norm in norms} == {0.1}
    assert {norm.eps for norm in norms if norm.num_features != 3} == {1e-5}
    assert {(norm.eps, norm.weight.requires_grad) for norm in norms if norm.num_features == 3} <= {(2e-5, False)}


def _kinds(layers: list[nn.Module]) -> list[str]:
    return [type(layer).__name__ for layer in layers]


@pytest.mark.parametrize(
    ("name", "options", "start", "end"),
    [
        (
            "resnet_e18",
            {"variant": "e1"},
            ["BatchNorm2d", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "BatchNorm2d"],
            ["ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"],
        ),
        (
            "resnet_e18",
            {"variant": "e2", "stem": "thumbnail"},
            ["BatchNorm2d", "Conv2d", "BatchNorm2d", "Sign"],
            ["BatchNorm2d", "ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"],
        ),
        (
            "bireal_net18",
            {},
            ["Conv2d", "BatchNorm2d", "MaxPool2d", "Sign"],
            ["BatchNorm2d", "Identity", "AdaptiveAvgPool2d", "Flatten", "Linear"],
        ),
        (
            "bireal_net18",
            {"variant": "bmxnet"},
            ["BatchNorm2d", "Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Sign"],
            ["BatchNorm2d", "ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"],
        ),
        (
            "binary_densenet28",
            {"stem": "grouped"},
            ["Conv2d", "BatchNorm2d", "ReLU"] * 3 + ["MaxPool2d"],
            ["BatchNorm2d", "ReLU", "AdaptiveAvgPool2d", "Flatten", "Linear"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_stems_and_heads(name: str, options: dict[str, object], start: list[str], end: list[str]) -> None:
    kinds = _kinds(layers_of(name, **options))

    assert kinds[: len(start)] == start
    assert kinds[-len(end) :] == end


def test_a_twin_has_relu_and_float_convolutions_that_pad_with_zeros(x: Tensor) -> None:
    conv = ReluConv2d(32, 8, 3, padding=1, bias=False)

    assert torch.equal(conv(x), F.conv2d(F.relu(x), conv.weight, padding=1))
    assert not any("Binary" in kind or kind == "Sign" for kind in _kinds(layers_of("resnet_e18", precision="full")))


def test_initial_weights_are_normal_with_a_variance_of_2_over_fan_in() -> None:
    torch.manual_seed(0)
    for layer in layers_of("resnet_e18", width=32):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if layer.weight.numel() > 5000:
                assert layer.weight.std().item() == pytest.approx((2 / layer.weight[0].numel()) ** 0.5, rel=0.05)
            assert layer.bias is None or not layer.bias.any()
    latent = build(OPTIONS["resnet_e18"](), image=(3, 32, 32), num_classes=5).get_parameter("stages.3.1.conv.weight")
    assert latent.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_dilation_keeps_the_size_of_the_image(x: Tensor) -> None:
    layer = DenseLayer(32, 8, dilation=4, binarization=Binarization(output="signed"))

    assert layer(x).shape == (2, 40, 7, 7)
