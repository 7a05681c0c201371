"""Which network a run trains, as a value derived from the variants' signatures. Free of torch.

An option is declared once, as a keyword argument of a variant function; here it becomes a field. What the
data decides (the image, the number of classes) is no option.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, cast

from pydantic import Field, create_model

from bnnlab.models.options import Image, concrete_stem
from bnnlab.models.resnet_e import resnet_e18, resnet_e34
from bnnlab.nn.binarization import Binarization
from bnnlab.values import Frozen

if TYPE_CHECKING:
    from torch import nn

MODELS: dict[str, Callable[..., Any]] = {
    "resnet_e18": resnet_e18,
    "resnet_e34": resnet_e34,
}
"""Every network by its name in a study."""

GIVEN_BY_DATA = ("image", "num_classes")


class ModelOptions(Frozen):
    """The options of a network; each variant has a subclass with the arguments of its function as fields."""

    name: str
    binarization: Binarization = Binarization()


def _options(name: str) -> type[ModelOptions]:
    variant = MODELS[name]
    fields: dict[str, Any] = {
        parameter.name: (parameter.annotation, parameter.default)
        for parameter in inspect.signature(variant).parameters.values()
        if parameter.name not in GIVEN_BY_DATA
    }
    fields["name"] = (Literal[name], name)
    return create_model(
        f"{name}_options", __base__=ModelOptions, __module__=__name__, __doc__=variant.__doc__, **fields
    )


OPTIONS: dict[str, type[ModelOptions]] = {name: _options(name) for name in MODELS}
"""The configuration class of every network."""

if TYPE_CHECKING:
    ModelConfig = ModelOptions
else:
    ModelConfig = Annotated[Union[tuple(OPTIONS.values())], Field(discriminator="name")]  # noqa: UP007


def resolve(config: ModelOptions, image: Image) -> ModelOptions:
    """The configuration with every choice made that it leaves to the image (channels, height, width).

    Two configurations that build the same network resolve to equal ones.
    """
    changes: dict[str, Any] = {}
    stem = getattr(config, "stem", None)
    if stem is not None:
        changes["stem"] = concrete_stem(stem, image)
    binarization = config.binarization
    if binarization.scaling != "none":
        changes["binarization"] = binarization.model_copy(update={"output": "signed"})
    return config.model_copy(update=changes)


def build(config: ModelOptions, *, image: Image, num_classes: int) -> nn.Module:
    """The network that a configuration names, with freshly drawn weights."""
    options = {field: getattr(config, field) for field in type(config).model_fields if field != "name"}
    return cast("nn.Module", MODELS[config.name](image=image, num_classes=num_classes, **options))
