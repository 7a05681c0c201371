"""What the paper tabulates beside classification: detection on VOC, and the cost of a layer by method."""

from __future__ import annotations

from bnnlab.paper.published.tables import MethodCost, Row, Table

DETECTION = Table(
    id="voc_detection",
    number=6,
    title="SSD on PASCAL VOC2007 test",
    identity=(),
    rows=(
        Row("BinaryDenseNet37", map=0.664, sources=("recalled",)),
        Row("BinaryDenseNet45", map=0.682, sources=("recalled",)),
        Row(
            "TBN ResNet34 (ternary activations)",
            map=0.595,
            status="partly",
            sources=("recalled", "tbn"),
            note="4.4 above XNOR-Net agrees with TBN's abstract.",
        ),
        Row("XNOR-Net ResNet34", map=0.551, status="partly", sources=("recalled", "tbn")),
        Row("SSD, full precision", map=0.724, sources=("recalled",), note="Uncertain: not a target."),
    ),
)

METHOD_COSTS: tuple[MethodCost, ...] = (
    MethodCost("full precision", "real", "real", "n·m·k", "0", 1, "recalled"),
    MethodCost("DoReFa-Net", "4 bit", "scaled 1 bit", "n·k", "8·n·m·k", 15, "recalled"),
    MethodCost("TBN", "ternary", "scaled binary", "n·m", "3·n·m·k", 40, "recalled"),
    MethodCost("XNOR-Net", "scaled binary", "scaled binary", "2·n·m", "2·n·m·k", 58, "recalled"),
    MethodCost("BNN, Bi-Real Net, this paper", "binary", "binary", "0", "2·n·m·k", 64, "partly"),
)
"""The factor 64 was read in a review of the paper; the rest is recalled."""
