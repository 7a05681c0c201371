"""What a run's network costs: known before training, and the same whatever the seed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from bnnlab.data.config import image_shape, num_classes
from bnnlab.experiment.config import RunConfig
from bnnlab.models.config import ModelOptions

if TYPE_CHECKING:
    from bnnlab.nn.counts import Counts

COSTS = (
    "model/size_mib",
    "model/params_binary",
    "model/params_fp",
    "model/macs_binary",
    "model/macs_fp",
    "model/ops_combined",
)
"""The metrics that a configuration decides."""


def costs_of(counts: Counts) -> dict[str, float]:
    """The counts of a network under the names by which runs record them."""
    return {name: getattr(counts, name.removeprefix("model/")) for name in COSTS}


def predicted_costs(config: RunConfig) -> dict[str, float]:
    """The costs that a run will record, in some 10 ms (imports torch). Units: MiB; counts."""
    return dict(_predicted(config.model, tuple(image_shape(config.data)), num_classes(config.data)))


@lru_cache(maxsize=4096)
def _predicted(model: ModelOptions, image: tuple[int, int, int], classes: int) -> dict[str, float]:
    from bnnlab.models.summary import blueprint
    from bnnlab.nn.counts import count

    return costs_of(count(blueprint(model, image=image, num_classes=classes), image))
