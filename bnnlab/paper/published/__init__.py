"""The published tables as data: every figure with its source and how surely it was read."""

from __future__ import annotations

from bnnlab.paper.published import cifar10, densenet, imagenet, later, others
from bnnlab.paper.published.others import METHOD_COSTS
from bnnlab.paper.published.tables import SOURCES, MethodCost, OneOf, Row, Table

TABLES: dict[str, Table] = {
    table.id: table
    for table in (
        cifar10.ABLATION,
        cifar10.LOGGED_GRID,
        imagenet.ABLATION,
        imagenet.LOGGED_E2,
        densenet.DOWNSAMPLING,
        densenet.SPLITTING,
        densenet.WIDER,
        imagenet.COMPARISON,
        later.AUTHORS_2020,
        later.RECIPE,
        later.LARQ,
        later.MELIUSNET,
        others.DETECTION,
    )
}
"""Every table by its id, which is what a study's `compare_with` names."""

__all__ = ["METHOD_COSTS", "SOURCES", "TABLES", "MethodCost", "OneOf", "Row", "Table"]
