"""What can be wrong with a data set on this machine, said to its user."""

from __future__ import annotations


class DataError(Exception):
    """A data set cannot be used; the message says which file, why, and what to do."""


class DataMissing(DataError):
    """The data set was not found where it was looked for."""


class DataDamaged(DataError):
    """A file is not what its place in the data set says it is."""
