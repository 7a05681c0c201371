"""The numerics contract of a binary layer, as checks of any implementation, ours or another's.

Each check takes an `Implementation` and raises AssertionError where it does not hold. The reference is
written out in float64 with explicit signs, explicit padding and the derivative as a formula; nothing of the
layers that are checked is used in it.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Formula = Callable[[Tensor], Tensor]


class Geometry(NamedTuple):
    """The arguments of a convolution."""

    in_channels: int = 4
    out_channels: int = 6
    kernel_size: int = 3
    stride: int = 1
    padding: int = 1
    dilation: int = 1
    groups: int = 1

    @property
    def terms(self) -> int:
        """How many products each output sums."""
        return self.in_channels // self.groups * self.kernel_size**2


def _as_it_is(y: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    return y


@dataclass(frozen=True)
class Implementation:
    """What is checked, and what it claims to compute."""

    name: str
    sign: Formula
    """Binarizes activations."""
    slope: Formula
    """The derivative that its backward pass claims, as a formula."""
    conv: Callable[[Geometry], nn.Module]
    """Makes a binary convolution that binarizes activations by `sign`; its latent weights are `weight`."""
    weight_slope: Formula = torch.ones_like
    """As `slope`, for the weights."""
    padding_value: float = -1
    """What the layer claims to pad binarized inputs with."""
    scale: Callable[[Tensor, Tensor, Tensor, Geometry], Tensor] = _as_it_is
    """The output of the layer for a signed sum, an input, latent weights and a geometry."""
    edges: tuple[float, ...] = (1.0,)
    """Where the slope jumps or bends."""
    exact: bool = True
    """Whether the output is a sum of ±1 or half of one, which low precisions hold while it is small."""


PLAIN = Geometry()

GEOMETRIES = {
    "plain": PLAIN,
    "no_padding": Geometry(padding=0),
    "wide_padding": Geometry(padding=2),
    "stride": Geometry(stride=2),
    "dilation": Geometry(padding=2, dilation=2),
    "groups": Geometry(groups=2),
    "depthwise": Geometry(in_channels=4, out_channels=4, groups=4),
    "pointwise": Geometry(kernel_size=1, padding=0),
    "pointwise_stride": Geometry(kernel_size=1, padding=0, stride=2),
    "everything": Geometry(stride=2, padding=3, dilation=2, groups=2),
}


def reference_sign(x: Tensor, slope: Formula) -> Tensor:
    """±1 with the derivative `slope`, in float64 by an identity that needs no autograd function."""
    hard = torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
    return hard + slope(x.detach()) * (x - x.detach())


def reference_output(implementation: Implementation, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """What the layer should give, and through it what its gradients should be."""
    signs = reference_sign(x, implementation.slope)
    padded = F.pad(signs, [geometry.padding] * 4, value=implementation.padding_value)
    binary = reference_sign(weight, implementation.weight_slope)
    y = F.conv2d(padded, binary, None, geometry.stride, 0, geometry.dilation, geometry.groups)
    return implementation.scale(y, x, weight, geometry)


def _layer(implementation: Implementation, geometry: Geometry = PLAIN) -> nn.Module:
    torch.manual_seed(0)
    return implementation.conv(geometry)


def _weight(layer: nn.Module) -> nn.Parameter:
    return layer.get_parameter("weight")


def _input(geometry: Geometry = PLAIN, size: int = 7, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, geometry.in_channels, size, size, generator=generator, dtype=dtype)
    x[0, :, 0, 0] = torch.tensor([0.0, -0.0, 1.0, -1.0], dtype=dtype)[: geometry.in_channels]
    return x


def _same(found: Tensor, expected: Tensor, what: str) -> None:
    if not torch.equal(found, expected):
        worst = (found - expected).abs().max().item()
        raise AssertionError(f"{what}: differs by up to {worst:g}")


def _close(found: Tensor, expected: Tensor, what: str, tolerance: float = 1e-12) -> None:
    scale = expected.abs().max().clamp(min=1)
    if not bool(((found - expected).abs() <= tolerance * scale).all()):
        worst = (found - expected).abs().max().item()
        raise AssertionError(f"{what}: differs by up to {worst:g}")


def _every_magnitude(dtype: torch.dtype) -> Tensor:
    """Numbers from the smallest subnormal to the largest finite one, of both signs, and both zeros."""
    limits = torch.finfo(dtype)
    tiny, huge = limits.smallest_normal, limits.max
    magnitudes = torch.tensor([tiny, limits.eps, 0.3, 0.5, 1, 1.3, 2, 255, 257, 1000, huge], dtype=dtype)
    smallest = torch.zeros(1, dtype=dtype).nextafter(torch.ones(1, dtype=dtype))
    positive = torch.cat([torch.zeros(1, dtype=dtype), smallest, magnitudes])
    return torch.cat([positive, -positive])


# What binarizing is


def outputs_are_exactly_plus_or_minus_one(implementation: Implementation) -> None:
    """At every magnitude, in every precision."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        x = _every_magnitude(dtype)
        for leaf in (x, x.clone().requires_grad_()):
            y = implementation.sign(leaf)
            if y.dtype != dtype:
                raise AssertionError(f"{dtype} became {y.dtype}")
            negative = x < 0
            _same(y, torch.where(negative, -1.0, 1.0).to(dtype), f"{dtype}")


def sign_of_both_zeros_is_plus_one(implementation: Implementation) -> None:
    """+0.0 and -0.0 alike."""
    _same(implementation.sign(torch.tensor([0.0, -0.0])), torch.ones(2), "sign(±0)")


def binarizing_twice_changes_nothing(implementation: Implementation) -> None:
    """sign(sign(x)) = sign(x)."""
    once = implementation.sign(_input())
    _same(implementation.sign(once), once, "sign of a sign")


def nan_surfaces(implementation: Implementation) -> None:
    """A NaN is a NaN afterwards, where it was and nowhere else."""
    y = implementation.sign(torch.tensor([1.0, float("nan"), -1.0]))
    if y.isnan().tolist() != [False, True, False]:
        raise AssertionError(f"sign([1, NaN, -1]) is {y.tolist()}")


def infinity_surfaces(implementation: Implementation) -> None:
    """An infinity is a NaN afterwards: what overflowed must not look like a healthy activation."""
    y = implementation.sign(torch.tensor([float("inf"), 1.0, float("-inf")]))
    if y.isnan().tolist() != [True, False, True]:
        raise AssertionError(f"sign([inf, 1, -inf]) is {y.tolist()}")


# Its gradient


def _gradient(implementation: Implementation, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    dy = torch.linspace(1, 2, x.numel(), dtype=x.dtype)
    (dx,) = torch.autograd.grad(implementation.sign(x), x, dy)
    return dx / dy


def gradient_is_the_formula(implementation: Implementation) -> None:
    """At 1,000 random points in float64, to 1e-12."""
    x = torch.randn(1000, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 1.5
    _close(_gradient(implementation, x), implementation.slope(x), "gradient at random points")


def gradient_is_the_formula_at_its_edges(implementation: Implementation) -> None:
    """At ±0, at ±1 and ± the window itself, and at the neighbouring numbers on both sides."""
    edges = torch.tensor([0.0, 1.0, *implementation.edges], dtype=torch.float64)
    far, none = torch.full_like(edges, 10.0), torch.zeros_like(edges)
    around = torch.cat([edges, edges.nextafter(far), edges.nextafter(none)])
    x = torch.cat([around, -around])
    _close(_gradient(implementation, x), implementation.slope(x), "gradient at the edges")


# The convolution


def output_is_the_formula(implementation: Implementation) -> None:
    """In float64, for every geometry: stride, dilation, groups, padding of every width."""
    for name, geometry in GEOMETRIES.items():
        layer, x = _layer(implementation, geometry).double(), _input(geometry, dtype=torch.float64)
        expected = reference_output(implementation, x, _weight(layer), geometry)
        _close(layer(x), expected, name)


def gradients_of_the_layer_are_the_formula(implementation: Implementation) -> None:
    """Of input and latent weights, in float64, for every geometry, to 1e-12."""
    for name, geometry in GEOMETRIES.items():
        layer = _layer(implementation, geometry).double()
        x = _input(geometry, dtype=torch.float64).requires_grad_()
        weight = _weight(layer)
        expected = reference_output(implementation, x, weight, geometry)
        dy = torch.randn(expected.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        wanted = torch.autograd.grad(expected, (x, weight), dy)
        found = torch.autograd.grad(layer(x), (x, weight), dy)
        for what, a, b in zip(("input", "weight"), found, wanted, strict=True):
            _close(a, b, f"{name}, gradient of the {what}")


def odd_images_are_halved_upwards(implementation: Implementation) -> None:
    """28 -> 14 -> 7 -> 4 pixels at stride 2, each equal to the reference."""
    geometry = Geometry(stride=2)
    layer = _layer(implementation, geometry).double()
    for size, halved in ((28, 14), (14, 7), (7, 4)):
        x = _input(geometry, size, torch.float64)
        y = layer(x)
        if y.shape[-2:] != (halved, halved):
            raise AssertionError(f"{size} pixels became {y.shape[-1]}")
        _close(y, reference_output(implementation, x, _weight(layer), geometry), f"{size} pixels")


def nan_and_infinity_surface_in_the_layer(implementation: Implementation) -> None:
    """Of an input pixel or of a latent weight, in each output that reads it."""
    for value in (float("nan"), float("inf")):
        layer, x = _layer(implementation), _input()
        x[0, 0, 3, 3] = value
        if not bool(layer(x)[0, :, 2:5, 2:5].isnan().all()):
            raise AssertionError(f"an input of {value} is swallowed")
        layer, x = _layer(implementation), _input()
        with torch.no_grad():
            _weight(layer)[2, 1, 1, 1] = value
        if not bool(layer(x)[:, 2].isnan().all()):
            raise AssertionError(f"a latent weight of {value} is swallowed")


def no_bias(implementation: Implementation) -> None:
    """Weights with zero sum over a constant image give the output transform of 0, nothing is added."""
    geometry = Geometry(padding=0)
    layer = _layer(implementation, geometry).double()
    with torch.no_grad():
        weight = _weight(layer)
        weight.copy_(torch.arange(weight.numel()).view_as(weight).remainder(2).mul(2).sub(1))
    x = torch.ones(1, 4, 5, 5, dtype=torch.float64)
    _close(layer(x), reference_output(implementation, x, weight, geometry), "weights that sum to 0")
    if any(name.endswith("bias") for name, _ in layer.named_parameters()):
        raise AssertionError("the layer has a bias")


# What PyTorch may do with the layer


def channels_last_is_contiguous(implementation: Implementation) -> None:
    """The memory format of the input changes nothing."""
    layer, x = _layer(implementation).double(), _input(dtype=torch.float64)
    _close(layer(x.to(memory_format=torch.channels_last)), layer(x), "channels_last")


def copies_are_equal(implementation: Implementation) -> None:
    """By deepcopy, by pickle, and by a state dict."""
    layer, x = _layer(implementation), _input()
    expected = layer(x)
    _same(copy.deepcopy(layer)(x), expected, "deepcopy")
    _same(pickle.loads(pickle.dumps(layer))(x), expected, "pickle")
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = implementation.conv(PLAIN)
    other.load_state_dict(torch.load(file, weights_only=True))
    _same(other(x), expected, "state_dict")


def functional_call_is_a_call(implementation: Implementation) -> None:
    """`torch.func.functional_call` with other weights, and the gradient through it."""
    layer, x = _layer(implementation).double(), _input(dtype=torch.float64)
    weight = _weight(layer).detach().neg().requires_grad_()
    expected = reference_output(implementation, x, weight, PLAIN)
    found = torch.func.functional_call(layer, {"weight": weight}, (x,))
    _close(found, expected, "functional_call")
    (a,), (b,) = (torch.autograd.grad(y.square().sum(), weight) for y in (found, expected))
    _close(a, b, "gradient through functional_call")


def vmap_is_a_loop(implementation: Implementation) -> None:
    """`torch.vmap` over images, alone and around `torch.func.grad` (gradients per image)."""
    layer, x = _layer(implementation).double(), _input(dtype=torch.float64)
    weight = _weight(layer).detach()

    def energy(weight: Tensor, image: Tensor) -> Tensor:
        y: Tensor = torch.func.functional_call(layer, {"weight": weight}, (image.unsqueeze(0),))
        return y.square().sum()

    looped = torch.stack([energy(weight, image) for image in x])
    _close(torch.vmap(energy, (None, 0))(weight, x), looped, "vmap")
    gradients = torch.vmap(torch.func.grad(energy), (None, 0))(weight, x)
    leaf = weight.clone().requires_grad_()
    expected = [torch.autograd.grad(energy(leaf, image), leaf)[0] for image in x]
    _close(gradients, torch.stack(expected), "gradients per image")


def compiled_is_eager(implementation: Implementation) -> None:
    """`torch.compile` by its default backend: outputs, and the gradient of the input."""
    torch.compiler.reset()
    layer = _layer(implementation)
    x = _input().requires_grad_()
    eager, compiled = layer(x), torch.compile(layer, fullgraph=True)(x)
    _close(compiled, eager, "compiled output", 1e-6)
    (a,), (b,) = (torch.autograd.grad(y.square().sum(), x) for y in (compiled, eager))
    _close(a, b, "compiled gradient", 1e-5)
    special = torch.tensor([0.0, -0.0, float("nan"), float("inf"), 1e-45, -1e-45])
    found, expected = (
        torch.compile(implementation.sign, fullgraph=True)(special),
        implementation.sign(special),
    )
    if not bool(((found == expected) | (found.isnan() & expected.isnan())).all()):
        raise AssertionError(f"sign({special.tolist()}): {found.tolist()} compiled, {expected.tolist()} eager")


# Low precision


def bfloat16_is_exact_for_small_sums(implementation: Implementation) -> None:
    """While every output is at most 256: 4 channels of 3x3 give sums of at most 36."""
    if not implementation.exact:
        return
    for geometry in GEOMETRIES.values():
        layer, x = _layer(implementation, geometry), _input(geometry)
        _same(layer.bfloat16()(x.bfloat16()).float(), layer.float()(x.bfloat16().float()), "bfloat16")


def bfloat16_is_rounded_once_for_large_sums(implementation: Implementation) -> None:
    """With 1,152 terms: each rounding (sum, transform, two scales) costs at most 2^-8, relative."""
    geometry = Geometry(in_channels=128)
    layer = _layer(implementation, geometry)
    with torch.no_grad():
        _weight(layer)[0].abs_()  # a filter whose weights have a large sum
    layer = layer.bfloat16()
    x = torch.randn(2, 128, 5, 5, generator=torch.Generator().manual_seed(4)).bfloat16()
    found = layer(x).double()
    expected = reference_output(implementation, x.double(), _weight(layer).double(), geometry)
    if not bool(((found - expected).abs() <= 4 * 2**-8 * (expected.abs() + 1)).all()):
        worst = ((found - expected).abs() / (expected.abs() + 1)).max().item()
        raise AssertionError(f"off by {worst:.3g}, relative")


CONTRACT: dict[str, Callable[[Implementation], None]] = {
    check.__name__: check
    for check in (
        outputs_are_exactly_plus_or_minus_one,
        sign_of_both_zeros_is_plus_one,
        binarizing_twice_changes_nothing,
        nan_surfaces,
        infinity_surfaces,
        gradient_is_the_formula,
        gradient_is_the_formula_at_its_edges,
        output_is_the_formula,
        gradients_of_the_layer_are_the_formula,
        odd_images_are_halved_upwards,
        nan_and_infinity_surface_in_the_layer,
        no_bias,
        channels_last_is_contiguous,
        copies_are_equal,
        functional_call_is_a_call,
        vmap_is_a_loop,
        compiled_is_eager,
        bfloat16_is_exact_for_small_sums,
        bfloat16_is_rounded_once_for_large_sums,
    )
}
"""Every check by its name."""
