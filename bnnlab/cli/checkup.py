"""What `bnnlab doctor` looks at."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from bnnlab.cli.output import say
from bnnlab.sweep.project import Project, find_project

MIN_FREE_GIB = 1.0


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    found: str
    ok: bool = True
    mend: str = ""


def examine() -> list[Finding]:
    """Everything that a sweep depends on."""
    say("looking at this machine ...")
    project = find_project()
    return [
        Finding("python", f"{platform.python_version()} at {sys.executable}"),
        *_packages(),
        *_devices(),
        *_folders(project),
        _store(project),
    ]


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("bnnlab") or ()]
    except PackageNotFoundError:
        yield Finding("bnnlab", "is not installed", False, "pip install -e .")
        return
    for requirement in needed:
        if requirement.marker is not None:
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Finding(requirement.name, "missing", False, f"pip install '{requirement}'")
            continue
        fits = requirement.specifier.contains(found, prereleases=True)
        mend = "" if fits else f"pip install '{requirement}'"
        yield Finding(requirement.name, found if fits else f"{found}, not {requirement.specifier}", fits, mend)


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cores", f"{cores}; that many runs train side by side unless --workers says otherwise")
    try:
        import torch
    except Exception as error:
        yield Finding("torch", f"cannot be imported: {error}", False, "pip install 'torch>=2.6,<2.14'")
        return
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            yield Finding(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    else:
        yield Finding("accelerator", "none; runs train on the CPU")


def _folders(project: Project) -> Iterator[Finding]:
    yield Finding("project", str(project.root))
    for subject, folder in (("ledger", project.ledger), ("MLflow artefacts", project.artifacts)):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        writable = os.access(there, os.W_OK)
        mend = "" if writable else f"give yourself the right to write in {there}, or set BNNLAB_PROJECT"
        yield Finding(subject, f"{folder}{'' if writable else ' cannot be written'}", writable, mend)
    free = shutil.disk_usage(next(p for p in (project.root, *project.root.parents) if p.exists())).free / 2**30
    enough = free >= MIN_FREE_GIB
    yield Finding("disk", f"{free:.1f} GiB free", enough, "" if enough else "make room: checkpoints need it")


def _store(project: Project) -> Finding:
    from bnnlab.tracking.store import open_client, reason, tracking_uri

    uri = tracking_uri(project)
    local = uri.removeprefix("sqlite:///")
    if local != uri and not Path(local).exists():
        return Finding("MLflow store", f"{uri} (made by the first sweep)")
    try:
        open_client(project)
    except Exception as error:
        mend = "start the server or unset MLFLOW_TRACKING_URI; sweeps go on without it, `bnnlab sync` catches up"
        return Finding("MLflow store", f"{uri}: {reason(error)}", False, mend)
    return Finding("MLflow store", uri)
