"""What a report is made from: a study and what is recorded of it. The caller fills it from a plan and a
ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnnlab.paper.claims import Claim
from bnnlab.paper.observation import Observation

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults


@dataclass(frozen=True)
class StudyResults:
    """A study under one profile, with one observation a planned run."""

    name: str
    question: str
    profile: str
    plan: str
    """The plan's id."""
    axes: Mapping[str, Sequence[str]]
    """Axis name to the labels of its levels, in the study's order."""
    observations: Sequence[Observation]
    claims: Sequence[Claim] = ()
    compare_with: str | None = None
    """Id of a published table."""
    spec_text: str = ""
    edited_claims: frozenset[str] = frozenset()
    """Ids of the claims that were changed after the plan's first run had started."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Where each run is to be seen (in MLflow), by run key."""
    reused: Mapping[str, str] = field(default_factory=dict)
    """The study that trained a run which this one found finished, by run key."""
    search: SearchResults | None = None
    """The trials, where the runs are those of a search; None for a study, whose grid was given."""
    commands: Mapping[int, str] = field(default_factory=dict)
    """What trains a trial again under more seeds, by its number."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """What else a reader may ask for: "code version", "machine", "started"... Part of the page's bytes."""
