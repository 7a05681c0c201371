"""What can go wrong with a run: its kind, its cause in a sentence, and whether trying again may help. Free of torch."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bnnlab.data.errors import DataError

KINDS: dict[str, bool] = {
    "diverged": False,  # the loss is NaN or infinite: the same seed diverges again
    "exception": False,  # a fault of the code, which is there the next time too
    "data": False,  # the data set is missing or damaged
    "start": False,  # the run whose weights this one starts from has failed
    "out_of_memory": True,  # of the host or of the accelerator: others may have held it
    "disk_full": True,
    "unwritable": True,  # the run directory cannot be written
    "died": True,  # its process ended without a word
    "hang": True,  # no progress for too long
}
"""Every kind of failure, and whether the engine tries such a run again by itself."""

EXIT_CODES = {kind: 80 + index for index, kind in enumerate(KINDS)}
"""Exit code of a worker by the kind of its failure: what is left to say where the run directory takes no more words."""


class Diverged(Exception):
    """The loss is NaN or infinite: nothing that follows would mean anything."""


class RankFailed(Exception):
    """One of the processes that train a run together has failed, with this kind, cause and detail."""

    def __init__(self, kind: str, cause: str, detail: str = "") -> None:
        super().__init__(cause)
        self.kind, self.cause, self.detail = kind, cause, detail


@dataclass(frozen=True)
class Failure:
    """Why a run failed."""

    kind: str
    """One of `KINDS`."""
    cause: str
    """One sentence for a person."""
    log_tail: str = ""
    attempts: int = 1
    final: bool = True
    """Whether the run counts as failed; False: an attempt failed, and what becomes of the run is being decided."""
    time: float = field(default_factory=time.time)
    """Seconds since 1970."""
    detail: str = ""
    """All lines of what was said, where the cause is only the first of them."""

    @property
    def may_pass(self) -> bool:
        """Whether trying again may help."""
        return KINDS.get(self.kind, False)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Failure:
        """Raises ValueError where `found` is no failure."""
        names = cls.__dataclass_fields__
        if not isinstance(found.get("kind"), str) or not isinstance(found.get("cause"), str):
            raise ValueError("a failure has a kind and a cause")
        return cls(**{name: value for name, value in found.items() if name in names})


MEMORY_WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "out of memory",
    "std::bad_alloc",
    "ALLOC_FAILED",
    "can't start new thread",
)


def classify(error: BaseException) -> tuple[str, str]:
    """Kind and cause of what was raised.

    By class where there is one of its own, else by PyTorch's words: most of what it raises is a RuntimeError.
    """
    if isinstance(error, RankFailed):
        return error.kind, error.cause
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, Diverged):
        return "diverged", text
    memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or number == errno.ENOMEM
    if memory or (isinstance(error, RuntimeError | OSError) and any(words in str(error) for words in MEMORY_WORDS)):
        return "out_of_memory", f"out of memory: {text}"
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "disk_full", f"the disk is full: {text}"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "unwritable", f"cannot be written: {text}"
    if isinstance(error, DataError):
        return "data", text
    return "exception", f"{type(error).__name__}: {text}"


def detail_of(error: BaseException) -> str:
    """All that an error says, where that is more than one line."""
    if isinstance(error, RankFailed):
        return error.detail
    text = str(error).strip()
    return text if "\n" in text else ""
