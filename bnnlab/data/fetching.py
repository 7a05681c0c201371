"""Downloading the data sets that anyone may download. Free of torch."""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bnnlab.data.catalogue import CATALOGUE, NOT_IN_FILES
from bnnlab.data.errors import DataDamaged, DataError
from bnnlab.data.places import default_download_folder

CHUNK = 1 << 18
TIMEOUT_SECONDS = 30

Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that are here, and the bytes that it will have where that is
known."""


@dataclass(frozen=True)
class Download:
    """A public file, and its checksum as its authors publish it."""

    urls: tuple[str, ...]
    """Mirrors, in the order in which they are tried."""
    name: str
    md5: str


def _fashion(name: str, md5: str) -> Download:
    return Download(
        (
            f"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/{name}",
            f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}",
        ),
        name,
        md5,
    )


def _cifar(name: str, md5: str) -> Download:
    return Download((f"https://www.cs.toronto.edu/~kriz/{name}",), name, md5)


DOWNLOADS: dict[str, tuple[Download, ...]] = {
    # Checksums: https://github.com/zalandoresearch/fashion-mnist and https://www.cs.toronto.edu/~kriz/cifar.html
    "fashion_mnist": (
        _fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        _fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        _fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
    "cifar10": (_cifar("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (_cifar("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
}


def fetch(name: str, dest: Path | None = None, progress: Progress | None = None) -> Path:
    """Download a data set into `dest`, by default a folder of its name where data sets are looked for.

    What is there and whole is not downloaded again; what broke off goes on where it stopped.
    Raises: DataError where the set cannot be had this way, or not now; the message says what to do.
    """
    if name not in DOWNLOADS:
        raise DataError(_why_not(name))
    folder = dest.expanduser() if dest is not None else default_download_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
    for download in DOWNLOADS[name]:
        path = folder / download.name
        if not (path.is_file() and _md5(path) == download.md5):
            _fetch_file(download, path, progress or (lambda *_: None))
    return folder


def _why_not(name: str) -> str:
    if name in NOT_IN_FILES:
        return f"{name} need not be fetched: it is {NOT_IN_FILES[name]}"
    if name in CATALOGUE:
        ways = "".join(f"\n  {way}" for way in CATALOGUE[name].how_to_get)
        return f"{CATALOGUE[name].title} may only be downloaded by those who accept its terms:{ways}"
    near = difflib.get_close_matches(name, DOWNLOADS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown data set {name!r}; allowed: {', '.join(sorted(DOWNLOADS))}.{hint}"


def _fetch_file(download: Download, path: Path, progress: Progress) -> None:
    """Through `<name>.part`, which is renamed when its checksum is right."""
    part = path.with_name(f"{path.name}.part")
    with part.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(f"{part}: another process is downloading this file") from error
        resumed = file.tell() > 0
        _from_any_mirror(download, file, part, progress)
        if _md5(part) != download.md5 and resumed:
            file.truncate(0)  # the part was of another file, or the server's file has changed
            _from_any_mirror(download, file, part, progress)
        if (found := _md5(part)) != download.md5:
            file.truncate(0)
            raise DataDamaged(
                f"{download.name}: what was downloaded has the MD5 checksum {found}, its authors publish"
                f" {download.md5}. It was not kept; something between here and them changed it"
            )
        part.replace(path)


def _from_any_mirror(download: Download, file: IO[bytes], part: Path, progress: Progress) -> None:
    failures = []
    for url in download.urls:
        try:
            _append(url, file, download.name, progress)
            return
        except (OSError, http.client.HTTPException) as error:  # URLError and TimeoutError are OSErrors
            reason = getattr(error, "reason", None) or error
            failures.append(f"{urllib.parse.urlsplit(url).hostname}: {reason or type(error).__name__}")
    kept = f" {file.tell():,} bytes are kept: the same command goes on from there." if file.tell() else ""
    raise DataError(
        f"{download.name} cannot be downloaded ({'; '.join(failures)}).{kept} Without a network here,"
        f" download {download.urls[0]} elsewhere and put it at {part.with_suffix('')}"
    )


def _append(url: str, file: IO[bytes], name: str, progress: Progress) -> None:
    """Download what is missing at the end of `file`."""
    file.seek(0, 2)
    here = file.tell()
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and here:
            return  # nothing is missing; the checksum will tell
        raise
    with response:
        if here and not (response.headers.get("Content-Range") or "").startswith(f"bytes {here}-"):
            file.truncate(0)  # a server that does not resume sends all of it
            here = 0
        length = response.headers.get("Content-Length")
        total = here + int(length) if length else None
        progress(name, here, total)
        while chunk := response.read(CHUNK):
            file.write(chunk)
            here += len(chunk)
            progress(name, here, total)
        file.flush()
    if total is not None and here < total:
        raise ConnectionError(f"the connection ended after {here:,} of {total:,} bytes")


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
