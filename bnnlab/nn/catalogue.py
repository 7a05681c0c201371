"""Every gradient estimator and scaling rule by name. Free of torch, so that a plan can be checked without it.

A new method is one function and one line here; its name is then a value of a study's axis.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Method:
    """Where a method's function is, and which of a layer's ingredients it reads besides its input."""

    module: str
    reads: tuple[str, ...] = ()

    def load(self, name: str) -> Callable[..., Any]:
        """The function called `name`; this is what imports torch."""
        function: Callable[..., Any] = getattr(importlib.import_module(self.module), name)
        return function


ESTIMATORS = {
    "ste": Method("bnnlab.nn.estimators.ste", reads=("window",)),
    "approx_sign": Method("bnnlab.nn.estimators.approx_sign", reads=("window",)),
    "polynomial": Method("bnnlab.nn.estimators.polynomial"),
    "swish_sign": Method("bnnlab.nn.estimators.swish_sign"),
    "error_decay": Method("bnnlab.nn.estimators.error_decay", reads=("progress",)),
}
"""Backward rules for sign; forward they are all the same. Ingredients: `window`, the |x| up to which a
gradient passes (None: everywhere); `progress`, the share of the training that is done."""

WEIGHT_ESTIMATORS = {
    **ESTIMATORS,
    "magnitude_aware": Method("bnnlab.nn.estimators.magnitude_aware", reads=("window",)),
}
"""What may binarize weights: every estimator, and a rule that only makes sense for filters."""

SCALINGS = {
    "none": Method("bnnlab.nn.scaling.none"),
    "xnor_weight": Method("bnnlab.nn.scaling.xnor_weight", reads=("weight",)),
    "xnor": Method("bnnlab.nn.scaling.xnor", reads=("x", "weight", "box")),
    "bireal": Method("bnnlab.nn.scaling.bireal", reads=("weight",)),
    "learned": Method("bnnlab.nn.scaling.learned", reads=("scale",)),
}
"""What multiplies the output of a binary layer. Ingredients: `x` the real-valued input, `weight` the latent
weights, `box` the layer's mean over a receptive field, `scale` a parameter for each output channel."""
