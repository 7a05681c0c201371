"""The cache of decoded images: never half a build, never another source's, for any number of builders."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from bnnlab.data.cache import cached_arrays, checksum
from bnnlab.data.places import cache_folder

DIGEST = "0123456789abcdef" * 4


def build():
    return {"pixels": np.arange(4000, dtype=np.uint8).reshape(1000, 4), "labels": np.arange(1000)}


def never():
    raise AssertionError("built although a whole cache is there")


def run(code):
    """Another process with the same home and cache."""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def the_cache():
    (place,) = (cache_folder() / "datasets").iterdir()
    return place


def test_it_is_built_once_and_shared():
    first = cached_arrays("set", DIGEST, build)
    again = cached_arrays("set", DIGEST, never)
    for name, array in build().items():
        assert np.array_equal(first[name], array)
        assert np.array_equal(again[name], array)
        assert isinstance(again[name], np.memmap)
    assert the_cache().name == "set-v1-0123456789abcdef"


def test_what_a_process_writes_into_an_array_stays_its_own():
    cached_arrays("set", DIGEST, build)["pixels"][:] = 0
    assert np.array_equal(cached_arrays("set", DIGEST, never)["pixels"], build()["pixels"])


def test_another_source_is_another_cache():
    cached_arrays("set", DIGEST, build)
    other = cached_arrays("set", DIGEST[::-1], lambda: {"pixels": np.zeros(3, np.uint8)})
    assert list(other) == ["pixels"]


KILLED = f"""
import os, signal
import numpy as np
from bnnlab.data.cache import cached_arrays

class KilledBetweenTwoFiles(dict):
    def items(self):
        yield "pixels", np.zeros((1000, 4), np.uint8)
        os.kill(os.getpid(), signal.SIGKILL)

cached_arrays("set", {DIGEST!r}, KilledBetweenTwoFiles)
"""


def test_a_build_that_is_killed_leaves_nothing_that_is_trusted():
    with run(KILLED) as process:
        assert process.wait() == -signal.SIGKILL
    left = list((cache_folder() / "datasets").iterdir())
    assert [path.name.startswith(".set-v1-") for path in left] == [True]
    assert (left[0] / "pixels.npy").exists(), "it was to be killed half-way"
    assert np.array_equal(cached_arrays("set", DIGEST, build)["labels"], np.arange(1000))


def test_what_a_killed_build_left_is_swept_away_a_day_later():
    with run(KILLED) as process:
        process.wait()
    left = the_cache()
    os.utime(left, (0, 0))
    cached_arrays("set", DIGEST, build)
    assert not left.exists()


@pytest.mark.parametrize("name", ["pixels.npy", "labels.npy", "whole.json"])
def test_a_cache_that_was_cut_short_is_built_again(name):
    cached_arrays("set", DIGEST, build)
    path = the_cache() / name
    path.write_bytes(path.read_bytes()[:-1] if name != "whole.json" else b"")
    assert np.array_equal(cached_arrays("set", DIGEST, build)["labels"], np.arange(1000))
    assert np.array_equal(cached_arrays("set", DIGEST, never)["pixels"], build()["pixels"])
    assert the_cache().name == "set-v1-0123456789abcdef"


BUILDER = f"""
import sys, time
import numpy as np
from bnnlab.data.cache import cached_arrays

def build():
    time.sleep(0.3)  # all builders are in here before the first is done
    print("built", flush=True)
    return {{"pixels": np.full((500, 500), 7, np.uint8)}}

assert (cached_arrays("set", {DIGEST!r}, build)["pixels"] == 7).all()
"""


def test_processes_that_build_at_once_all_succeed_and_leave_one_cache():
    processes = [run(BUILDER) for _ in range(4)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert outputs.count(b"built\n") >= 2, "the builders were to overlap"
    assert the_cache().name == "set-v1-0123456789abcdef"


def test_where_nothing_can_be_written_images_are_decoded_each_time(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("BNNLAB_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(cached_arrays("set", DIGEST, build)["labels"], np.arange(1000))
    assert "cannot be written" in caplog.text
    assert "set is decoded anew by each process" in caplog.text


def test_the_checksum_follows_names_and_contents(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    whole = checksum([first, second])
    assert checksum([second, first]) == whole
    first.write_bytes(b"two")
    second.write_bytes(b"one")
    assert checksum([first, second]) != whole
    first.write_bytes(b"one")
    second.write_bytes(b"two")
    assert checksum([first, second]) == whole
