"""`bnnlab data fetch` as the terminal sees it."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from bnnlab.cli.output import say
from bnnlab.data.errors import DataError
from bnnlab.data.fetching import fetch


def fetch_with_progress(name: str, folder: Path | None) -> int:
    """Fetch a data set and draw how far it is. Gives the exit code."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:

            def show(file: str, here: int, total: int | None) -> None:
                if file not in tasks:
                    tasks[file] = progress.add_task(file, total=total)
                progress.update(tasks[file], completed=here, total=total)

            where = fetch(name, folder, show)
    except DataError as error:
        say(str(error))
        return 1
    say(f"{name} lies in {where}")
    return 0
