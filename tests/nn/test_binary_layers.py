"""Binary layers beside the contract: free inputs, the dense layer, single methods, what is refused."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from implementations import SLOPES

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.catalogue import SCALINGS, WEIGHT_ESTIMATORS
from bnnlab.nn.counts import count
from bnnlab.nn.estimators.error_decay import error_decay
from bnnlab.nn.estimators.magnitude_aware import magnitude_aware
from bnnlab.nn.layers import BinaryConv2d, BinaryLinear, Sign

floats = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45]
)


@pytest.mark.parametrize("estimator", SLOPES)
@settings(max_examples=40, deadline=None)
@given(values=st.lists(floats, min_size=1, max_size=8))
def test_any_finite_number_becomes_plus_or_minus_one(estimator: str, values: list[float]) -> None:
    y = Sign(estimator, window=1.0)(torch.tensor(values))

    assert y.tolist() == [1.0 if value >= 0 else -1.0 for value in values]


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(3, 9),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    padding=st.integers(0, 3),
    padding_value=st.sampled_from([-1, 0, 1]),
    output=st.sampled_from(["signed", "popcount"]),
    seed=st.integers(0, 1000),
)
def test_any_padding_equals_explicit_padding(
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    groups: int,
    padding: int,
    padding_value: int,
    output: str,
    seed: int,
) -> None:
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        return  # no output pixel
    torch.manual_seed(seed)
    binarization = Binarization.model_validate({"padding_value": padding_value, "output": output})
    conv = BinaryConv2d(4, 8, kernel, stride, padding, dilation, groups, binarization=binarization)
    x = torch.randn(1, 4, size, size)

    padded = F.pad(torch.where(x >= 0, 1.0, -1.0), [padding] * 4, value=padding_value)
    weight = torch.where(conv.weight >= 0, 1.0, -1.0)
    expected = F.conv2d(padded, weight, None, stride, 0, dilation, groups)
    if output == "popcount":
        expected = (expected + weight[0].numel()) / 2

    assert torch.equal(conv(x), expected)  # sums of halves are exact in float32


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("output", ["signed", "popcount"])
def test_a_dense_layer_is_a_1x1_convolution(scaling: str, output: str) -> None:
    torch.manual_seed(0)
    binarization = Binarization.model_validate({"scaling": scaling, "output": output})
    dense = BinaryLinear(6, 4, binarization=binarization).double()
    conv = BinaryConv2d(6, 4, 1, binarization=binarization).double()
    with torch.no_grad():
        conv.weight.copy_(dense.weight.view(4, 6, 1, 1))
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)

    found, expected = dense(x), conv(x.view(3, 6, 1, 1)).view(3, 4)

    assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    for of in (x, [dense.weight, conv.weight]):
        a, b = of if isinstance(of, list) else (of, of)
        (da,) = torch.autograd.grad(found.square().sum(), a, retain_graph=True)
        (db,) = torch.autograd.grad(expected.square().sum(), b, retain_graph=True)
        assert torch.allclose(da, db.view_as(da), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 3, 5, 6)])
def test_a_dense_layer_takes_any_leading_axes(shape: tuple[int, ...]) -> None:
    layer = BinaryLinear(6, 4, binarization=Binarization(scaling="xnor"))

    assert layer(torch.randn(shape)).shape == (*shape[:-1], 4)


def test_magnitude_aware_weights_are_the_scaling_of_weights() -> None:
    """Forward and backward: the mean of a filter multiplies either its weights or its output."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    aware = Binarization(weight_estimator="magnitude_aware", weight_window=1.0, output="signed")
    scaled = Binarization(scaling="xnor_weight", weight_window=1.0)
    layers = [BinaryConv2d(4, 6, 3, padding=1, binarization=choice).double() for choice in (aware, scaled)]
    layers[1].load_state_dict(layers[0].state_dict())

    outputs = [layer(x) for layer in layers]
    gradients = [
        torch.autograd.grad(y.square().sum(), layer.weight)[0] for y, layer in zip(outputs, layers, strict=True)
    ]

    assert torch.allclose(outputs[0], outputs[1], rtol=0, atol=1e-12)
    assert torch.allclose(gradients[0], gradients[1], rtol=0, atol=1e-10)


def test_magnitude_aware_weights_by_hand() -> None:
    weight = torch.tensor([[0.5, -1.5], [0.0, -4.0]], requires_grad=True)

    binary = magnitude_aware(weight, window=1.0)
    binary.sum().backward()

    assert binary.tolist() == [[1.0, -1.0], [2.0, -2.0]]
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 0.0], [2.0, 0.0]]


@pytest.mark.parametrize(("progress", "t", "k"), [(0.0, 0.1, 10.0), (0.5, 1.0, 1.0), (1.0, 10.0, 1.0)])
def test_error_decay_steepens_with_the_training(progress: float, t: float, k: float) -> None:
    x = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)

    (slope,) = torch.autograd.grad(error_decay(x, progress=torch.tensor(progress, dtype=torch.float64)).sum(), x)

    expected = k * t * (1 - torch.tanh(t * x.detach()) ** 2)
    assert torch.allclose(slope, expected, rtol=0, atol=1e-12)


def test_a_learned_scale_gets_the_gradient_of_a_factor() -> None:
    torch.manual_seed(0)
    layer = BinaryConv2d(2, 3, 3, padding=1, binarization=Binarization(scaling="learned"))
    plain = BinaryConv2d(2, 3, 3, padding=1, binarization=Binarization(output="signed"))
    plain.load_state_dict({"weight": layer.weight.detach()})
    x = torch.randn(2, 2, 5, 5)

    layer(x).sum().backward()

    assert layer.scale.grad is not None
    assert torch.equal(layer.scale.grad.flatten(), plain(x).sum((0, 2, 3)))


@pytest.mark.parametrize(
    ("name", "method"), [*WEIGHT_ESTIMATORS.items(), *SCALINGS.items()], ids=lambda value: str(value)[:12]
)
def test_the_catalogue_says_what_a_method_reads(name: str, method) -> None:  # type: ignore[no-untyped-def]
    parameters = list(inspect.signature(method.load(name)).parameters.values())[1:]
    required = {p.name for p in parameters if p.default is p.empty}

    assert required <= set(method.reads) <= {p.name for p in parameters}


def test_only_the_window_is_kept_for_the_backward_pass() -> None:
    """A byte for an activation, not four: the mask, and not the input."""
    x = torch.randn(1000, requires_grad=True)
    saved: list[torch.Tensor] = []

    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        Sign("ste", window=1.0)(x)

    assert [t.dtype for t in saved] == [torch.uint8]


def test_autocast_changes_no_exact_sum() -> None:
    """A filter of 1,152 weights of one sign: its own sum is no number of bfloat16, the outputs are."""
    torch.manual_seed(0)
    layer = BinaryConv2d(128, 4, 3, padding=1, binarization=Binarization(output="signed"))
    with torch.no_grad():
        layer.weight.abs_()
        layer.weight[:, 0, 0, 0] = -1
    x = torch.randn(1, 128, 6, 6)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)

    representable = exact.bfloat16().float() == exact
    assert representable.any()
    assert torch.equal(found.float()[representable], exact[representable])


def test_groups_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="groups=3 must divide the channels, 4 in and 6 out"):
        BinaryConv2d(4, 6, 3, groups=3, binarization=Binarization())


def test_counting_refuses_parameters_that_the_forward_pass_does_not_reach() -> None:
    class Unused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.used(x.flatten(1))
            return result

    with pytest.raises(ValueError, match="reaches layers with 10 parameters, but the module has 20"):
        count(Unused(), (1, 2, 2))


def test_counting_changes_nothing() -> None:
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(2), BinaryConv2d(2, 3, 1, binarization=Binarization()))
    before = {name: value.clone() for name, value in network.state_dict().items()}

    counts = count(network, (2, 5, 4))

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (counts.params_binary, counts.params_fp, counts.macs_binary) == (6, 4, 6 * 20)
    assert counts.layers[1].output_shape == (3, 5, 4)
    assert counts.size_mib == (6 + 4 * 32) / 8 / 2**20
