"""A dashboard: which panels a report shows, in which order. Read from YAML, every mistake at its place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from bnnlab.report.panels import (
    PANELS,
    BestTrials,
    Courses,
    Curves,
    Effects,
    Front,
    History,
    Importance,
    Panel,
    PaperTable,
    Parallel,
    Pareto,
    Provenance,
    Runs,
    Slices,
    Trials,
    Verdicts,
)
from bnnlab.sweep.document import Node, load_document
from bnnlab.sweep.fields import explain
from bnnlab.sweep.mistakes import Mistake, SpecError, nearest

_KEYS = ("title", "panels")


@dataclass(frozen=True)
class Dashboard:
    """The panels of a report."""

    name: str
    title: str
    panels: tuple[Panel, ...]


DEFAULT = Dashboard(
    "default",
    "Report",
    (Verdicts(), PaperTable(), Effects(), Curves(), Pareto(), Runs(), Provenance()),
)
"""What a study without a dashboard gets."""
SEARCH = Dashboard(
    "search",
    "Search",
    (Front(), BestTrials(), History(), Importance(), Slices(), Parallel(), Courses(), Trials(), Provenance()),
)
"""What a search without a dashboard gets; `dashboards/search.yaml` says the same, to be changed."""


def read_dashboard(path: Path) -> Dashboard:
    """The dashboard in a file.

    Raises:
        SpecError: with every mistake of the file.
    """
    document = load_document(path)
    mistakes: list[Mistake] = []
    if not document.is_mapping:
        raise SpecError([document.mistake("", f"a dashboard is a mapping, not {document.kind}", allowed=_KEYS)])
    for key, node in document.items():
        if key not in _KEYS:
            mistakes.append(
                node.mistake(key, f"unknown field '{key}'", at_key=True, allowed=_KEYS, nearest=nearest(key, _KEYS))
            )
    title = document.get("title")
    listed = document.get("panels")
    panels: list[Panel] = []
    if listed is None or not listed.is_list:
        mistakes.append((listed or document).mistake("panels", "must be a list of panels"))
    else:
        panels = list(_read_panels(listed.value, mistakes))
    if mistakes:
        raise SpecError(mistakes)
    return Dashboard(path.stem, path.stem if title is None else str(title.value), tuple(panels))


def _read_panels(nodes: Iterable[Node], mistakes: list[Mistake]) -> Iterable[Panel]:
    names = tuple(sorted(PANELS))
    for index, node in enumerate(nodes):
        path = f"panels[{index}]"
        named = node.get("panel") if node.is_mapping else node
        name = str(named.value) if named is not None else ""
        if named is None or name not in PANELS:
            message = "'panel' is required here" if named is None else f"unknown panel '{name}'"
            mistakes.append((named or node).mistake(path, message, allowed=names, nearest=nearest(name, names)))
            continue
        written = node.plain() if node.is_mapping else {"panel": name}
        try:
            yield PANELS[name].model_validate_json(json.dumps(written))
        except ValidationError as error:
            mistakes += explain(error, node, PANELS[name], path)
