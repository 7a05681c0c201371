"""What a network of the catalogue costs, without training or even allocating it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from bnnlab.models.config import MODELS, OPTIONS, build, resolve


def family(name: str) -> str:
    """The family that a network belongs to: the package that its variant function is in."""
    return MODELS[name].__module__.rpartition(".")[2]


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
    import torch

    from bnnlab.nn.counts import count

    image = (channels, input_size, input_size)
    config = resolve(OPTIONS[name].model_validate({**(options or {}), "name": name}), image)
    with torch.device("meta"):  # shapes alone; a ResNetE34 would take 0.3 s to draw
        counts = count(build(config, image=image, num_classes=classes), image)
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
