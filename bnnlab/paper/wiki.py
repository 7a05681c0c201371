"""Read a clone of the authors' results wiki (hpi-xnor/BMXNet-v2-wiki) into reference runs.

One folder a run, `experiment/<group>/<id>/`: `details.md` holds the command in a fenced block,
`post_process.csv` one row an epoch with every option repeated in it. What cannot be read is named and
skipped; the rest is imported. Nothing here is trained by bnnlab: a reference run never counts as a run of a
study.
"""

from __future__ import annotations

import csv
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunRecord, RunState

_METRIC_COLUMNS = {
    "val_acc": "val/top1",
    "val_acc_top_k_5": "val/top5",
    "train_acc": "train/top1",
    "train_acc_top_k_5": "train/top5",
}
_COUNT_COLUMNS = {"model_size_q": "model/size_mib", "num_params_q": "model/params_binary"}
_COUNT_COLUMNS |= {"flops_fp": "model/macs_fp", "flops_q": "model/macs_binary"}
_PER_EPOCH = {"epoch", "time", *_METRIC_COLUMNS}
_NOTHING = {"", "none", "nan"}


@dataclass(frozen=True)
class ReferenceEpoch:
    """One logged epoch; accuracies are fractions."""

    epoch: int
    """From 1; a resumed log starts later."""
    seconds: float | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class ReferenceRun:
    """One run of the authors, to be shown beside a user's."""

    id: str
    """Group and first eight digits: "mnes-44db0eb4"."""
    folder: str
    """Inside the wiki: "experiment/mnes/44db0eb4..."."""
    name: str
    """The model as its authors call it."""
    options: Mapping[str, str]
    """What decides the run, as logged; other machines' paths are left out."""
    epochs: tuple[ReferenceEpoch, ...]
    metrics: Mapping[str, float]
    """As of a run of ours that validates on the test set: last epoch, best epochs, size, counts."""
    config: RunConfig | None
    """The same experiment as a configuration; None where bnnlab does not have it, with the reason in
    `notes`."""
    notes: tuple[str, ...]
    """What was unusual about its log."""

    @property
    def record(self) -> RunRecord | None:
        """This run as a record, for what shows records; its key is no run key, so that no study takes it
        for a
        run of its own. None without a configuration."""
        if self.config is None:
            return None
        return RunRecord(
            run_key=f"reference-{self.id}",
            config=self.config,
            state=RunState.FINISHED,
            epochs=tuple(epoch.metrics for epoch in self.epochs),
            metrics=self.metrics,
            provenance={"kind": "reference", "source": f"hpi-xnor/BMXNet-v2-wiki: {self.folder}"},
        )


@dataclass(frozen=True)
class Skipped:
    """A folder that could not be imported."""

    folder: str
    reason: str


@dataclass(frozen=True)
class Wiki:
    """What an import found."""

    runs: tuple[ReferenceRun, ...]
    skipped: tuple[Skipped, ...]


def read_wiki(path: Path) -> Wiki:
    """Every run of a local clone.

    Args:
        path: the clone, or its `experiment` folder.
    Raises:
        FileNotFoundError: there is no `experiment` folder at `path`.
    """
    root = path if path.name == "experiment" else path / "experiment"
    if not root.is_dir():
        raise FileNotFoundError(f"{path} holds no 'experiment' folder: it should be a clone of the authors' wiki")
    runs: list[ReferenceRun] = []
    skipped: list[Skipped] = []
    for folder in sorted(entry for group in root.iterdir() if group.is_dir() for entry in group.iterdir()):
        if not folder.is_dir():
            continue
        name = folder.relative_to(root.parent).as_posix()
        try:
            runs.append(_read_run(folder, name))
        except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
            skipped.append(Skipped(name, str(error)))
    return Wiki(tuple(runs), tuple(skipped))


def _read_run(folder: Path, name: str) -> ReferenceRun:
    from bnnlab.paper.wiki_config import to_config

    log = folder / "post_process.csv"
    if not log.is_file():
        raise ValueError("post_process.csv is missing")
    rows = list(_read_rows(log))
    notes: list[str] = []
    epochs = _epochs(rows, notes)
    if not epochs:
        raise ValueError("post_process.csv has no epoch with a validation accuracy")
    logged = _constant_options(rows)
    details = folder / "details.md"
    command = _read_command(details.read_text(encoding="utf-8", errors="replace")) if details.is_file() else {}
    for key, value in command.items():
        if key in logged and key != "lr" and not _same(logged[key], value):
            notes.append(f"the command page says {key} {value}, the log {logged[key]}: the log is right")
    options = {**command, **logged}
    config, why = to_config(options, [row.metrics["val/top1"] for row in epochs])
    return ReferenceRun(
        id=f"{folder.parent.name}-{folder.name[:8]}",
        folder=name,
        name=options.get("model", "unknown"),
        options=options,
        epochs=epochs,
        metrics=_final_metrics(epochs, options),
        config=config,
        notes=(*notes, *why),
    )


# ---- the log --------------------------------------------------------------------


def _read_rows(log: Path) -> Iterator[dict[str, str]]:
    """The rows of a log by column.

    Where a header repeats a name, the first cell of it that holds something counts.
    """
    with log.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file, skipinitialspace=True)
        header = [_clean(name) for name in next(reader, [])]
        if not {"epoch", "val_acc"} <= set(header):
            raise ValueError("post_process.csv has no columns epoch and val_acc")
        for cells in reader:
            row: dict[str, str] = {}
            for name, cell in zip(header, cells, strict=False):
                if not row.get(name):
                    row[name] = "" if _clean(cell).lower() in _NOTHING else _clean(cell)
            if row:
                yield row


def _clean(cell: str) -> str:
    return cell.strip().strip("'\"").strip()


def _number(cell: str | None) -> float | None:
    try:
        value = float(cell or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _epochs(rows: Sequence[Mapping[str, str]], notes: list[str]) -> tuple[ReferenceEpoch, ...]:
    """The epochs in order. A resumed run logs some twice: the later row is what the run went on from."""
    epochs: dict[int, ReferenceEpoch] = {}
    twice = unreadable = 0
    for row in rows:
        number = _number(row.get("epoch"))
        metrics = {
            name: value for column, name in _METRIC_COLUMNS.items() if (value := _number(row.get(column))) is not None
        }
        if number is None or not 0 <= metrics.get("val/top1", -1) <= 1:
            unreadable += 1
            continue
        twice += int(number) in epochs
        epochs[int(number)] = ReferenceEpoch(int(number), _number(row.get("time")), metrics)
    if twice:
        notes.append(f"{twice} epochs are logged twice: the later rows are kept")
    if unreadable:
        notes.append(f"{unreadable} rows without an epoch or a validation accuracy are left out")
    if epochs and min(epochs) > 1:
        notes.append(f"the log starts at epoch {min(epochs)}: the run was resumed from one that is not in it")
    return tuple(epochs[number] for number in sorted(epochs))


def _constant_options(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The options that a log repeats in every row; of one that a resume changed, the last value."""
    options: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            # A path of the machine that ran it tells nobody anything.
            if value and name and name not in _PER_EPOCH and name != "lr" and "/" not in value:
                options[name] = value
    # The rate is logged as scheduled in some runs; the largest is the one it started from.
    rates = [rate for row in rows if (rate := _number(row.get("lr"))) is not None]
    return options | ({"lr": f"{max(rates):g}"} if rates else {})


def _final_metrics(epochs: Sequence[ReferenceEpoch], options: Mapping[str, str]) -> dict[str, float]:
    """Best top-1 and best top-5 are each the maximum over epochs, as the authors report them."""
    metrics: dict[str, float] = {}
    for name in ("top1", "top5"):
        values = [epoch.metrics[f"val/{name}"] for epoch in epochs if f"val/{name}" in epoch.metrics]
        if values:
            metrics |= {f"test/{name}": values[-1], f"test/{name}_best": max(values)}
    metrics |= {
        name: value for column, name in _COUNT_COLUMNS.items() if (value := _number(options.get(column))) is not None
    }
    total = _number(options.get("num_params"))
    if total is not None and "model/params_binary" in metrics:
        metrics["model/params_fp"] = total - metrics["model/params_binary"]
    return metrics


# ---- the command page -----------------------------------------------------------


def _read_command(page: str) -> dict[str, str]:
    """The options of the first fenced block: `--lr-steps "75,100" \\` is lr_steps = 75,100; a flag is
    True."""
    block = re.search(r"```[^\n]*\n(.*?)```", page, flags=re.DOTALL)
    if block is None:
        return {}
    options: dict[str, str] = {}
    text = block.group(1).replace("\\\n", " ").replace("\n", " ")
    try:
        words = shlex.split(text)
    except ValueError:  # a stray quote
        words = text.replace('"', " ").replace("'", " ").split()
    for word, following in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--") and len(word) > 2:
            name, _, value = word[2:].partition("=")
            value = value or ("True" if following.startswith("--") else following)
            if "/" not in value:
                options[name.replace("-", "_")] = value
    return options


def _same(logged: str, commanded: str) -> bool:
    one, other = _number(logged), _number(commanded)
    return one == other if one is not None and other is not None else logged.lower() == commanded.lower()
