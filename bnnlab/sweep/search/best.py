"""The best trials of a search as study files: `bnnlab sweep` on one trains it again under more seeds."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.files import replace_file
from bnnlab.sweep.search.results import SearchResults, TrialResult
from bnnlab.sweep.search.spec import Search

SEEDS = (0, 1, 2, 3, 4)


def write_best(search: Search, results: SearchResults, folder: Path) -> list[Path]:
    """Write a file for each trial of the front, and `front.yaml` that compares them all. Gives the paths."""
    chosen = [results.trial(number) for number in results.front]
    if not chosen:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.yaml"):
        stale.unlink()
    written = []
    for trial in chosen:
        path = folder / f"trial_{trial.number:03}.yaml"
        replace_file(path, _text(_study(search, trial)).encode())
        written.append(path)
    if len(chosen) > 1:
        path = folder / "front.yaml"
        replace_file(path, _text(_comparison(search, chosen)).encode())
        written.append(path)
    return written


def _study(search: Search, trial: TrialResult) -> dict[str, Any]:
    values = ", ".join(f"{metric} {value:.4g}" for metric, value in trial.values.items())
    return {
        "name": f"{search.study}-trial-{trial.number:03}",
        "question": f"Does trial {trial.number} of {search.title} hold under more seeds? There it came to {values}.",
        "base": _base(search, trial),
        "seeds": list(SEEDS),
    }


def _comparison(search: Search, trials: list[TrialResult]) -> dict[str, Any]:
    """One study whose axis is the trial: its levels move whole sections, as trials may differ in anything."""
    bases = {f"trial_{trial.number:03}": _base(search, trial) for trial in trials}
    first = next(iter(bases.values()))
    same = {name: section for name, section in first.items() if all(b[name] == section for b in bases.values())}
    levels = {
        label: {name: section for name, section in base.items() if name not in same} for label, base in bases.items()
    }
    return {
        "name": f"{search.study}-front",
        "question": f"How do the trials on the front of {search.title} compare under more seeds?",
        "base": same,
        "axes": {"trial": levels},
        "seeds": list(SEEDS),
    }


def _base(search: Search, trial: TrialResult) -> dict[str, Any]:
    config = search.config(trial.point, search.seeds[0])
    assert isinstance(config, RunConfig)  # it was trained
    return config.model_dump(mode="json", exclude={"seed"})


def _text(study: dict[str, Any]) -> str:
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(study, stream)
    return stream.getvalue()
