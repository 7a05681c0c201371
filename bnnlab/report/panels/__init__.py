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
from bnnlab.report.panels.search.courses import Courses
from bnnlab.report.panels.search.front import Front
from bnnlab.report.panels.search.history import History
from bnnlab.report.panels.search.parallel import Parallel
from bnnlab.report.panels.search.slices import Slices
from bnnlab.report.panels.search.trials import BestTrials, Trials
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
    "front": Front,
    "best_trials": BestTrials,
    "history": History,
    "slices": Slices,
    "parallel": Parallel,
    "courses": Courses,
    "trials": Trials,
}

__all__ = [
    "PANELS",
    "BestTrials",
    "Courses",
    "Curves",
    "Effects",
    "Front",
    "History",
    "Importance",
    "Note",
    "Panel",
    "PaperTable",
    "Parallel",
    "Pareto",
    "Provenance",
    "Runs",
    "Slices",
    "Telemetry",
    "Trials",
    "Verdicts",
]
