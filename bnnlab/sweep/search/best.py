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


def best_studies(search: Search, results: SearchResults) -> dict[str, str]:
    """The text of a study for each of the best trials, and of one that compares them all, by the file's name."""
    texts = {study_file(trial): _text(_study(search, trial)) for trial in results.best}
    if len(results.best) > 1:
        texts[comparison_file(results)] = _text(_comparison(search, results))
    return texts


def study_file(trial: TrialResult) -> str:
    return f"trial_{trial.number:03}.yaml"


def comparison_file(results: SearchResults) -> str:
    return "front.yaml" if len(results.objectives) > 1 else "best.yaml"


def write_best(search: Search, results: SearchResults, folder: Path) -> list[Path]:
    """Write those studies, in place of what an earlier session wrote. Gives the paths."""
    texts = best_studies(search, results)
    if not texts:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.yaml"):
        stale.unlink()
    for name, text in texts.items():
        replace_file(folder / name, text.encode())
    return [folder / name for name in texts]


def _study(search: Search, trial: TrialResult) -> dict[str, Any]:
    values = ", ".join(f"{metric} {value:.4g}" for metric, value in trial.values.items())
    return {
        "name": f"{search.study}-trial-{trial.number:03}",
        "question": f"Does trial {trial.number} of {search.title} hold under more seeds? There it came to {values}.",
        "base": _base(search, trial),
        "seeds": list(SEEDS),
    }


def _comparison(search: Search, results: SearchResults) -> dict[str, Any]:
    """One study whose axis is the trial: its levels move whole sections, as trials may differ in anything."""
    what, trials = Path(comparison_file(results)).stem, "best trials"
    if len(results.objectives) > 1:
        trials = "trials on the front"
    bases = {Path(study_file(trial)).stem: _base(search, trial) for trial in results.best}
    first = next(iter(bases.values()))
    same = {name: section for name, section in first.items() if all(b[name] == section for b in bases.values())}
    levels = {
        label: {name: section for name, section in base.items() if name not in same} for label, base in bases.items()
    }
    return {
        "name": f"{search.study}-{what}",
        "question": f"How do the {trials} of {search.title} compare under more seeds?",
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
