"""Which implementations of binary convolutions keep bnnlab's numerics contract.

Runs every check of `bnnlab.nn.contract` against bnnlab, and against bitorch and brevitas where they are
installed, each with the settings that come nearest to the authors' layer: sign, straight-through gradient
inside a window of 1, no scaling. What a library claims (its padding value, say) is taken from its own
documentation: a check fails only where the library departs from its claim or from arithmetic.

Example: python benchmarks/nn_contract.py --skip compiled_is_eager
"""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.contract import CONTRACT, Geometry, Implementation
from bnnlab.nn.layers import BinaryConv2d, Sign


def within_window(x: Tensor) -> Tensor:
    """The straight-through estimator's derivative, with the inclusive window of 1."""
    return (x.abs() <= 1).to(x.dtype)


def ours() -> Implementation:
    """bnnlab's layer with the authors' settings and the plain sum as output."""
    binarization = Binarization(output="signed")
    return Implementation(
        name="bnnlab",
        sign=Sign("ste", window=1.0),
        slope=within_window,
        conv=lambda geometry: BinaryConv2d(*geometry, binarization=binarization),
    )


def bitorch() -> Implementation:
    """bitorch's QConv2d with its defaults: sign with a gradient window of 1, padding by -1."""
    from bitorch.layers import QActivation, QConv2d

    return Implementation(
        name="bitorch",
        sign=QActivation("sign", 1.0),
        slope=within_window,
        conv=lambda geometry: QConv2d(*geometry, input_quantization="sign", weight_quantization="sign"),
    )


def brevitas() -> Implementation:
    """brevitas's QuantConv2d with binary weights and inputs of scale 1, padding by 0."""
    from brevitas.nn import QuantConv2d, QuantIdentity
    from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst

    class Weights(SignedBinaryWeightPerTensorConst):  # type: ignore[misc]
        scaling_const = 1.0

    def conv(geometry: Geometry) -> nn.Module:
        layer: nn.Module = QuantConv2d(
            *geometry, bias=False, input_quant=SignedBinaryActPerTensorConst, weight_quant=Weights
        )
        return layer

    return Implementation(
        name="brevitas",
        sign=QuantIdentity(act_quant=SignedBinaryActPerTensorConst),
        slope=within_window,
        conv=conv,
        padding_value=0,
    )


IMPLEMENTATIONS: dict[str, Callable[[], Implementation]] = {
    "bnnlab": ours,
    "bitorch": bitorch,
    "brevitas": brevitas,
}


def verdict(check: Callable[[Implementation], None], implementation: Implementation) -> str:
    """`ok`, or the first line of what is wrong."""
    torch.manual_seed(0)
    try:
        check(implementation)
    except AssertionError as error:
        return f"FAILS: {error}".splitlines()[0]
    except Exception as error:  # a peer may refuse what the check asks for
        return f"REFUSES: {type(error).__name__}: {error}".splitlines()[0]
    return "ok"


def main() -> None:
    """Print a table for each implementation, and how many checks it passes."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--skip", nargs="*", default=[], choices=CONTRACT, metavar="CHECK")
    skipped = parser.parse_args().skip
    warnings.simplefilter("ignore")
    for name, make in IMPLEMENTATIONS.items():
        if importlib.util.find_spec(name) is None:
            print(f"{name}: not installed\n")
            continue
        implementation = make()
        verdicts = {key: verdict(check, implementation) for key, check in CONTRACT.items() if key not in skipped}
        passed = sum(result == "ok" for result in verdicts.values())
        print(f"{name}: {passed} of {len(verdicts)}")
        for key, result in verdicts.items():
            print(f"  {key:42} {result[:110]}")
        print()


if __name__ == "__main__":
    main()
