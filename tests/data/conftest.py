"""Each test has a machine of its own: an empty home, an empty cache, no data sets."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def fresh_machine(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("home")
    for variable in ("BNNLAB_DATA", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BNNLAB_CACHE", str(home / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for processes that tests start
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def published_size(monkeypatch):
    """Make the catalogue expect as many images as a test has."""
    from dataclasses import replace

    from bnnlab.data.catalogue import CATALOGUE

    def set_size(name, train, test):
        monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], train=train, test=test))

    return set_size
