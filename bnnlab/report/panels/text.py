"""A note that the dashboard's author writes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Section, Text
from bnnlab.report.panel import Panel


class Note(Panel):
    """Paragraphs of plain text; an empty line parts them."""

    panel: Literal["text"] = "text"
    text: str = Field(min_length=1)

    def build(self, analysis: Analysis) -> Section:
        """The note."""
        paragraphs = (" ".join(part.split()) for part in self.text.split("\n\n"))
        return Section(self.title or "Note", tuple(Text(part) for part in paragraphs if part))
