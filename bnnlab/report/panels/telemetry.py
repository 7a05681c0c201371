"""What the training looked like from inside: flip ratio, learning rate, loss."""

from __future__ import annotations

from typing import Literal

from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Section, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.curves import epoch_figures


class Telemetry(Panel):
    """Metrics of the training itself by epoch."""

    panel: Literal["telemetry"] = "telemetry"
    metrics: tuple[str, ...] = ("flip_ratio", "train/loss", "lr")

    def build(self, analysis: Analysis) -> Section:
        """One figure a metric; names those that no run logged."""
        blocks: list[Block] = []
        silent: list[str] = []
        for metric in self.metrics:
            figures = epoch_figures(analysis, metric)
            blocks += figures
            silent += [] if figures else [metric]
        if silent:
            blocks.append(Text(f"No run has logged {', '.join(silent)} yet."))
        return Section(self.title or "Telemetry", tuple(blocks))
