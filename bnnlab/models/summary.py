"""What a network of the catalogue costs, without training or even allocating it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bnnlab.models.config import MODELS, OPTIONS, ModelOptions, build, resolve
from bnnlab.models.options import Image

if TYPE_CHECKING:
    from torch import nn


def family(name: str) -> str:
    """The family that a network belongs to: the package that its variant function is in."""
    return MODELS[name].__module__.rpartition(".")[2]


def blueprint(config: ModelOptions, *, image: Image, num_classes: int) -> nn.Module:
    """The network that a configuration names, with weights that nobody has drawn: for its shapes alone."""
    from torch.overrides import TorchFunctionMode

    class Undrawn(TorchFunctionMode):
        """Leaves out what draws or fills weights: nine tenths of the time that a large network takes to build."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            kwargs = kwargs or {}
            if getattr(func, "__module__", None) == "torch.nn.init" or func.__name__ in ("normal_", "uniform_"):
                return args[0] if args else kwargs["tensor"]
            return func(*args, **kwargs)

    with Undrawn():
        return build(config, image=image, num_classes=num_classes)


def summary(
    name: str,
    *,
    input_size: int = 224,
    classes: int = 1000,
    channels: int = 3,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Parameters, sizes in MiB and operations of a network, as `bnnlab models --json` prints them.

    `macs_*` count convolutions and dense layers; `ops_*` are the authors' columns, convolutions alone.
    `layers` has a row for each layer with parameters.
    Raises: KeyError for an unknown name; pydantic.ValidationError for unknown or impossible options.
    """
    from bnnlab.nn.counts import count

    image = (channels, input_size, input_size)
    config = resolve(OPTIONS[name].model_validate({**(options or {}), "name": name}), image)
    counts = count(blueprint(config, image=image, num_classes=classes), image)
    return {
        "name": name,
        "family": family(name),
        "params": counts.params,
        "params_binary": counts.params_binary,
        "params_fp": counts.params_fp,
        "size_mib": counts.size_mib,
        "float_size_mib": counts.float_size_mib,
        "macs_binary": counts.macs_binary,
        "macs_fp": counts.macs_fp,
        "ops_binary": counts.ops_binary,
        "ops_fp": counts.ops_fp,
        "ops_combined": counts.ops_combined,
        "options": config.model_dump(mode="json"),
        "layers": [asdict(layer) for layer in counts.layers],
    }
