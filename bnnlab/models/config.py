"""Which network a run trains, as a value derived from the variants' signatures. Free of torch.

An option is declared once, as a keyword argument of a variant function; here it becomes a field. What the
data decides (the image, the number of classes) is no option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast

from pydantic import BeforeValidator, Field, create_model

from bnnlab.models.binary_densenet import (
    binary_densenet28,
    binary_densenet37,
    binary_densenet37_dilated,
    binary_densenet45,
    binary_densenet_flex,
)
from bnnlab.models.bireal_net import bireal_net18, bireal_net34
from bnnlab.models.meliusnet import (
    meliusnet22,
    meliusnet29,
    meliusnet42,
    meliusnet59,
    meliusnet_a,
    meliusnet_b,
    meliusnet_c,
)
from bnnlab.models.options import Image, Precision, Stem, concrete_stem
from bnnlab.models.resnet import resnet_v1_18, resnet_v1_34, resnet_v2_18, resnet_v2_34
from bnnlab.models.resnet_e import resnet_e18, resnet_e34
from bnnlab.models.xnor_resnet import xnor_resnet18, xnor_resnet34
from bnnlab.nn.binarization import AUTHORS, Binarization
from bnnlab.values import Frozen

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, Callable[..., Any]] = {
    "resnet_e18": resnet_e18,
    "resnet_e34": resnet_e34,
    "binary_densenet28": binary_densenet28,
    "binary_densenet37": binary_densenet37,
    "binary_densenet37_dilated": binary_densenet37_dilated,
    "binary_densenet45": binary_densenet45,
    "binary_densenet_flex": binary_densenet_flex,
    "bireal_net18": bireal_net18,
    "bireal_net34": bireal_net34,
    "xnor_resnet18": xnor_resnet18,
    "xnor_resnet34": xnor_resnet34,
    "resnet_v1_18": resnet_v1_18,
    "resnet_v1_34": resnet_v1_34,
    "resnet_v2_18": resnet_v2_18,
    "resnet_v2_34": resnet_v2_34,
    "meliusnet22": meliusnet22,
    "meliusnet29": meliusnet29,
    "meliusnet42": meliusnet42,
    "meliusnet59": meliusnet59,
    "meliusnet_a": meliusnet_a,
    "meliusnet_b": meliusnet_b,
    "meliusnet_c": meliusnet_c,
}
"""Every network by its name in a study."""

GIVEN_BY_DATA = ("image", "num_classes")


class ModelOptions(Frozen):
    """The options of a network; each variant has a subclass with the arguments of its function as fields."""

    name: str
    stem: Stem = "auto"
    precision: Precision = "binary"
    binarization: Binarization = AUTHORS


def _options(name: str) -> type[ModelOptions]:
    variant = MODELS[name]
    fields: dict[str, Any] = {"name": (Literal[name], name)}
    for parameter in inspect.signature(variant).parameters.values():
        if parameter.name not in GIVEN_BY_DATA:
            fields[parameter.name] = (parameter.annotation, parameter.default)
    fields["binarization"] = (_binarization(fields["binarization"][1]), fields["binarization"][1])
    return create_model(
        f"{name}_options", __base__=ModelOptions, __module__=__name__, __doc__=variant.__doc__, **fields
    )


def _binarization(default: Binarization) -> Any:
    """The type of a network's binarization.

    What a study leaves out of it is the network's, not the general default, so that `xnor_resnet18` with
    another window still scales.
    """
    own = default.model_dump(exclude_defaults=True)
    if not own:
        return Binarization
    return Annotated[Binarization, BeforeValidator(lambda given: own | given if isinstance(given, dict) else given)]


OPTIONS: dict[str, type[ModelOptions]] = {name: _options(name) for name in MODELS}
"""The configuration class of every network."""

if TYPE_CHECKING:
    ModelConfig = ModelOptions
else:
    ModelConfig = Annotated[Union[tuple(OPTIONS.values())], Field(discriminator="name")]  # noqa: UP007


def resolve(config: ModelOptions, image: Image) -> ModelOptions:
    """The configuration with every choice made that it leaves to the image (channels, height, width).

    What the network would not read gets one spelling (the binarization of a full-precision twin is the
    network's default), so that configurations of the same network resolve to equal ones.
    """
    binarization = config.binarization
    if config.precision == "full":
        binarization = type(config).model_fields["binarization"].default
    return config.model_copy(
        update={"stem": concrete_stem(config.stem, image), "binarization": binarization.canonical()}
    )


def build(config: ModelOptions, *, image: Image, num_classes: int) -> nn.Module:
    """The network that a configuration names, with freshly drawn weights."""
    options = {field: getattr(config, field) for field in type(config).model_fields if field != "name"}
    return cast("nn.Module", MODELS[config.name](image=image, num_classes=num_classes, **options))
