"""A copy of a data set: files in one of its public formats. Free of torch."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from bnnlab.data.errors import DataDamaged


@dataclass(frozen=True)
class Source:
    """Files of one copy of a data set, found by their names and not yet opened."""

    format: str
    location: Path
    """What a person would point at: the folder, or the archive."""
    files: tuple[Path, ...]
    """All files that are read."""
    missing: tuple[str, ...] = field(default=())
    """Names of files that belong to this copy and are not there, as after a download that broke off."""

    def require_complete(self) -> None:
        """Raises: DataDamaged that names what is missing."""
        if self.missing:
            raise DataDamaged(
                f"{self.location}: a part of the {self.format} files is here, but not"
                f" {', '.join(self.missing)}. Add what is missing, or name another copy with data.root"
            )


def named_files(folder: Path, format: str, names: Iterable[str]) -> Source | None:
    """The files with these names, if any of them is in the folder."""
    present = {name: (folder / name).is_file() for name in names}
    if not any(present.values()):
        return None
    return Source(
        format,
        folder,
        tuple(folder / name for name, there in present.items() if there),
        tuple(name for name, there in present.items() if not there),
    )


def archive(folder: Path, format: str, name: str) -> Source | None:
    """The data set as one downloaded archive, which is read without being unpacked."""
    path = folder / name
    return Source(format, path, (path,)) if path.is_file() else None


_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.parquet$")


def parquet_files(folder: Path, splits: dict[str, str]) -> Source | None:
    """Parquet files as the Hugging Face hub stores them, if there are any of these splits.

    `splits` maps a split to the beginning of its files' names: {"train": "train-", "test": "test-"}.
    """
    found: list[Path] = []
    missing: list[str] = []
    for beginning in splits.values():
        paths = sorted(folder.glob(f"{beginning}*.parquet"))
        found += paths
        if not paths:
            missing.append(f"{beginning}*.parquet")
        for path in paths[:1]:
            if match := _SHARD.search(path.name):
                stem, count = path.name[: match.start()], int(match[2])
                names = [f"{stem}-{i:05d}-of-{count:05d}.parquet" for i in range(count)]
                missing += [name for name in names if not (folder / name).is_file()]
    if not found:
        return None
    return Source("parquet", folder, tuple(found), tuple(missing))


def members(source: Source, names: Iterable[str]) -> dict[str, bytes]:
    """The content of the files with these names: from a folder, or from the archive that holds them.

    Raises: DataDamaged where a file is missing or the archive is cut short.
    """
    if source.location.is_dir():
        return {name: (source.location / name).read_bytes() for name in names}
    wanted, found = set(names), {}
    try:
        with tarfile.open(source.location) as tar:
            for member in tar:
                name = Path(member.name).name
                if name in wanted and (content := tar.extractfile(member)) is not None:
                    found[name] = content.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        message = f"{source.location}: cut short or not a tar archive ({error}). Fetch it again"
        raise DataDamaged(message) from error
    if lost := wanted - set(found):
        raise DataDamaged(f"{source.location}: holds no {', '.join(sorted(lost))}. Fetch it again")
    return found
