"""Sweeps on a folder of photographs: decoding processes, several devices, images that cannot be decoded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.slow

SPEC = """\
name: photos
question: Do the options of the machine leave the result alone?
base:
  model: {{name: resnet_e18, width: 16}}
  data: {{name: folder, root: photos, image_size: 16, resize: 16, augmentation: high, max_damaged: {max_damaged}}}
  training: {{epochs: 2, batch_size: 8, optimizer: {{name: adam}}, schedule: {{name: cosine}}}}
axes:
  model.binarization.scaling: [none]
"""


def project(at: Path, *, damaged: int = 0, max_damaged: float = 0.0) -> Path:
    at.mkdir(parents=True)
    for label in range(2):
        folder = at / "photos" / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (24, 20), (120 * label, 12 * number, 40)).save(folder / f"{number:02d}.png")
    for path in sorted((at / "photos" / "class0").iterdir())[:damaged]:
        path.write_bytes(path.read_bytes()[:40])
    (at / "photos.yaml").write_text(SPEC.format(max_damaged=max_damaged))
    return at


def bnnlab(*arguments: str, at: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "BNNLAB_PROJECT": str(at), "BNNLAB_CACHE": str(at / "cache"), "COLUMNS": "200"}
    command = [sys.executable, "-m", "bnnlab", *arguments]
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def only_run(at: Path) -> dict[str, Any]:
    (run,) = json.loads(bnnlab("runs", "--json", at=at).stdout)
    return run


def test_decoding_processes_change_nothing(tmp_path: Path) -> None:
    digests = set()
    for workers in ("0", "2"):
        at = project(tmp_path / workers)
        bnnlab("sweep", "photos.yaml", "--device", "cpu", "--loader-workers", workers, at=at)
        digests.add(only_run(at)["provenance"]["weights_sha256"])
    assert len(digests) == 1


def test_a_run_on_two_devices_has_the_key_of_one_on_one(tmp_path: Path) -> None:
    found = []
    for devices in ("1", "2"):
        at = project(tmp_path / devices)
        bnnlab("sweep", "photos.yaml", "--device", "cpu", "--devices", devices, at=at)
        found.append(only_run(at))
    one, two = found
    assert one["run_key"] == two["run_key"]
    assert (one["provenance"]["devices"], two["provenance"]["devices"]) == ("1", "2")
    assert one["epoch"] == two["epoch"] == 2


def test_what_devices_cannot_be_is_said_before_anything_starts(tmp_path: Path) -> None:
    at = project(tmp_path / "project")
    done = bnnlab("sweep", "photos.yaml", "--device", "cuda:1", "--devices", "2", at=at, code=2)
    assert done.stderr == "2 devices cannot all be cuda:1; say cuda or cpu\n"
    done = bnnlab("sweep", "photos.yaml", "--device", "cpu", "--devices", "5", at=at, code=2)
    assert done.stderr == (
        "--devices 5: BatchNorm needs 2 images a device, and training.batch_size is 8 for all\nnothing was started.\n"
    )


def test_images_that_cannot_be_decoded_are_told(tmp_path: Path) -> None:
    at = project(tmp_path / "project", damaged=3, max_damaged=0.5)
    said = bnnlab("sweep", "photos.yaml", "--device", "cpu", at=at).stderr
    run = only_run(at)
    assert run["provenance"]["damaged_images"] == "3"
    assert f"3 images of its data set could not be decoded:  bnnlab why {run['run_key']}" in said
    why = bnnlab("why", run["run_key"], at=at).stdout
    assert "3 images of its data set could not be decoded and were left out:" in why
    assert "class0/01.png: not a whole image" in why


def test_too_many_of_them_fail_the_run_and_why_names_them(tmp_path: Path) -> None:
    at = project(tmp_path / "project", damaged=3)
    bnnlab("sweep", "photos.yaml", "--device", "cpu", at=at, code=1)
    run = only_run(at)
    assert run["cause"].endswith("images cannot be decoded; data.max_damaged 0 allows 0:")
    assert "\n" not in run["cause"]
    why = bnnlab("why", run["run_key"], at=at).stdout
    assert "data.max_damaged 0 allows 0:\n           " in why
    assert "class0/0" in why.split("the end of its log")[0]
    failure = json.loads((at / "runs" / run["run_key"] / "failure.json").read_bytes())
    assert failure["kind"] == "data"
