"""Every kind of panel by the name that a dashboard calls it. A new kind is a module and a line here."""

from __future__ import annotations

from bnnlab.report.panel import Panel
from bnnlab.report.panels.curves import Curves
from bnnlab.report.panels.effects import Effects
from bnnlab.report.panels.importance import Importance
from bnnlab.report.panels.paper_table import PaperTable
from bnnlab.report.panels.pareto import Pareto
from bnnlab.report.panels.provenance import Provenance
from bnnlab.report.panels.runs import Runs
from bnnlab.report.panels.telemetry import Telemetry
from bnnlab.report.panels.text import Note
from bnnlab.report.panels.verdicts import Verdicts

PANELS: dict[str, type[Panel]] = {
    "text": Note,
    "verdicts": Verdicts,
    "paper_table": PaperTable,
    "effects": Effects,
    "curves": Curves,
    "pareto": Pareto,
    "importance": Importance,
    "telemetry": Telemetry,
    "runs": Runs,
    "provenance": Provenance,
}

__all__ = [
    "PANELS",
    "Curves",
    "Effects",
    "Importance",
    "Note",
    "Panel",
    "PaperTable",
    "Pareto",
    "Provenance",
    "Runs",
    "Telemetry",
    "Verdicts",
]
