"""Pareto fronts and the volume that they dominate. Every value here is to be small: maxima come with a minus sign."""

from __future__ import annotations

from collections.abc import Sequence

Vector = Sequence[float]


def dominates(one: Vector, other: Vector) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def front(points: Sequence[Vector]) -> list[int]:
    """Indices of the points that no other dominates, in their order."""
    return [i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)]


def hypervolume(points: Sequence[Vector], reference: Vector) -> float:
    """The volume between the points and a reference point that is worse than what counts.

    >>> hypervolume([(0.0, 2.0), (1.0, 1.0), (3.0, 0.0)], (3.0, 3.0))
    5.0
    """
    inside = sorted({tuple(p) for p in points if all(a < r for a, r in zip(p, reference, strict=True))})
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside[0][0])
    # Slices along the first coordinate, each as wide as the step to the next point.
    volume = 0.0
    for index, point in enumerate(inside):
        end = inside[index + 1][0] if index + 1 < len(inside) else reference[0]
        if end > point[0]:
            volume += (end - point[0]) * hypervolume([p[1:] for p in inside[: index + 1]], reference[1:])
    return volume
