"""How an epoch is cut into batches, and a batch into the shares of the processes that train together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """One of `world` processes that train one network together, taking turns at the images of a batch."""

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ValueError(f"rank {self.rank} is not one of {self.world} processes, counted from 0")


def training_bounds(images: int, batch_size: int, world: int = 1) -> list[tuple[int, int]]:
    """Where each batch of an epoch starts and ends; together they are all images, each once.

    `batch_size` counts the images of a step over all processes, so that a run is the same experiment on one
    device and on eight. All batches have this size but the last one, which has what is left; where that is
    fewer than two images a process it joins the batch before, because a BatchNorm of one value has no
    variance.

    Raises: ValueError where a process would have fewer than two images.
    """
    least = 2 * world
    if images < least or batch_size < min(least, images):
        raise ValueError(
            f"a batch of {min(batch_size, images)} images over {world} process(es) leaves one with fewer"
            " than the 2 images that BatchNorm needs"
        )
    starts = list(range(0, images, batch_size))
    if images - starts[-1] < least and len(starts) > 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], images], strict=True))


def evaluation_bounds(images: int, batch_size: int) -> list[tuple[int, int]]:
    """As `training_bounds`, where a small last batch does no harm."""
    return [(start, min(start + batch_size, images)) for start in range(0, images, batch_size)]
