"""Where data sets and their caches lie on this machine. Free of torch."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "BNNLAB_DATA"
"""Environment variable: one or more folders that hold data sets."""

CACHE_VARIABLE = "BNNLAB_CACHE"


def data_folders(root: Path | None = None) -> list[Path]:
    """Folders in which a data set may lie, in the order in which they are searched.

    A root that was named is the only one: a copy that is found somewhere else would be a surprise.
    """
    if root is not None:
        return [root.expanduser()]
    named = [Path(folder).expanduser() for folder in os.environ.get(VARIABLE, "").split(os.pathsep) if folder]
    home = Path.home()
    well_known = [
        Path("data"),
        default_download_folder(),
        home / "data",
        home / "datasets",
        home / ".keras" / "datasets",
        Path(os.environ.get("HF_HOME", home / ".cache" / "huggingface")) / "hub",
        Path("/usr/share/datasets"),
        Path("/data"),
        Path("/datasets"),
    ]
    return list(dict.fromkeys([*named, *well_known]))


def default_download_folder() -> Path:
    """Where a data set is fetched to when nothing else is said: the first of $BNNLAB_DATA, or the user's
    own."""
    for folder in os.environ.get(VARIABLE, "").split(os.pathsep):
        if folder:
            return Path(folder).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "bnnlab"


def cache_folder() -> Path:
    """Where decoded images and indices are kept; safe to delete."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bnnlab"
