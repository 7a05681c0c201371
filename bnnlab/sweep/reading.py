"""A spec file, whichever of the two it is: a study with its plan, or a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bnnlab.sweep.plan import Plan, make_plan
from bnnlab.sweep.spec import load_spec

if TYPE_CHECKING:
    from bnnlab.sweep.search.spec import Search


def read_spec(
    path: Path, *, profile: str | None = None, settings: Sequence[str] = (), seeds: int | None = None
) -> Plan | Search:
    """What the file at `path` asks for. Raises SpecError with every mistake that can be seen at once."""
    spec = load_spec(path, profile=profile, settings=settings, seeds=seeds)
    if spec.search is None:
        return make_plan(spec, str(path))
    from bnnlab.sweep.search.spec_reading import make_search  # and with it Optuna, which no study needs

    return make_search(spec, str(path))
