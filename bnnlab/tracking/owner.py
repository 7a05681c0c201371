"""Whose runs a tracking server shows: the ledger's own name, and its user's."""

from __future__ import annotations

import getpass
import os
import uuid
from contextlib import suppress
from pathlib import Path

NAME_FILE = ".ledger-id"


def ledger_id(root: Path) -> str:
    """The name of the ledger at `root`, given to it the first time that it is asked for.

    On a server that many share it tells one ledger's runs from another's. A copy of a whole ledger keeps the name: it
    stands for the same runs. Raises OSError where the ledger can be neither read nor written.
    """
    path = root / NAME_FILE
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        fresh = root / f"{NAME_FILE}-{uuid.uuid4().hex}"
        fresh.write_text(f"{uuid.uuid4().hex[:12]}\n")
        with suppress(FileExistsError):  # another process was first: its name counts
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()


def user_name() -> str:
    """Who is logged in, as MLflow's UI shows it; "unknown" in a container without user names."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return "unknown"
