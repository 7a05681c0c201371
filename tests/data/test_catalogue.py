"""Where a data set is looked for, what is found there, and what is said where nothing is."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from data_files import random_images, write_cifar, write_fashion_mnist
from pydantic import TypeAdapter

from bnnlab.data.catalogue import availability, locate, require_present
from bnnlab.data.config import CIFAR10, DataConfig, Folder
from bnnlab.data.errors import DataDamaged, DataMissing
from bnnlab.data.loading import load


def write(folder, version="binary", variant="cifar10"):
    classes = 100 if variant == "cifar100" else 10
    images = random_images(100, (3, 32, 32), classes)
    write_cifar(folder, variant, images, images, version)
    return folder


def found(name, root=None):
    (entry,) = (entry for entry in availability(root) if entry.name == name)
    return entry


def test_no_torch_is_needed_to_tell_what_is_there():
    code = "import sys, bnnlab.data.catalogue as c; c.availability(); print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "False\n"


def test_the_fields_that_scripts_rely_on(fresh_machine):
    entries = json.loads(json.dumps([asdict(entry) for entry in availability()]))
    assert [entry["name"] for entry in entries] == [
        *("digits", "synthetic", "fashion_mnist", "cifar10", "cifar100", "imagenet", "folder")
    ]
    assert all({"name", "present", "location", "looked_in", "how_to_get"} <= entry.keys() for entry in entries)
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["digits"]["present"]
    assert not by_name["cifar10"]["present"]
    assert by_name["cifar10"]["location"] is None
    assert by_name["cifar10"]["how_to_get"][0] == "bnnlab data fetch cifar10"
    assert str(fresh_machine / "data") in by_name["cifar10"]["looked_in"]


@pytest.mark.parametrize(
    ("place", "version"),
    [
        ("data/cifar10", "binary"),
        ("data/cifar10", "parquet"),
        ("data/cifar10/cifar-10-batches-bin", "binary"),
        ("data/cifar-10-batches-py", "python"),
        (".local/share/bnnlab/cifar10", "binary archive"),
        (".keras/datasets/cifar-10-batches-py", "python"),
        ("data", "python archive"),
        (".cache/huggingface/hub/datasets--uoft-cs--cifar10/snapshots/0b27/plain_text", "parquet"),
    ],
)
def test_a_copy_in_a_usual_place_is_found_by_itself(fresh_machine, place, version):
    write(fresh_machine / place, version)
    entry = found("cifar10")
    assert entry.present
    assert entry.location.endswith(f"({version.removesuffix(' archive')})")
    assert str(Path(place).parts[-1]) in entry.location


def test_the_environment_variable_names_folders_that_are_searched_first(fresh_machine, tmp_path, monkeypatch):
    write(fresh_machine / "data" / "cifar10")
    monkeypatch.setenv("BNNLAB_DATA", f"{tmp_path / 'none'}:{tmp_path / 'mine'}")
    assert locate("cifar10").location == Path("data/cifar10")
    write(tmp_path / "mine" / "cifar10")
    assert locate("cifar10").location == tmp_path / "mine" / "cifar10"


def test_a_root_that_is_named_is_the_only_place(fresh_machine, tmp_path):
    write(fresh_machine / "data" / "cifar10")
    assert not found("cifar10", root=tmp_path).present
    with pytest.raises(DataMissing):
        load(CIFAR10(name="cifar10", root=tmp_path), evaluation="paper", batch_size=8, seed=0)


def test_a_whole_copy_is_preferred_to_one_that_lacks_files(fresh_machine):
    partial = write(fresh_machine / "data" / "cifar10")
    (partial / "data_batch_4.bin").unlink()
    assert not found("cifar10").present
    with pytest.raises(DataDamaged, match=r"but not data_batch_4\.bin\."):
        locate("cifar10")
    write(partial, "python archive")
    assert locate("cifar10").location == Path("data/cifar10/cifar-10-python.tar.gz")


def test_parquet_files_that_could_be_anything_are_not_taken_for_this_set(fresh_machine):
    write(fresh_machine / "data", "parquet")
    assert not found("cifar10").present
    assert found("cifar10", root=fresh_machine / "data").present


def test_the_two_cifars_are_told_apart(fresh_machine):
    write(fresh_machine / "data" / "cifar-10-batches-py", "python")
    write(fresh_machine / "data" / "cifar-100-python", "python", "cifar100")
    assert locate("cifar10").location.name == "cifar-10-batches-py"
    assert locate("cifar100").location.name == "cifar-100-python"


@pytest.mark.parametrize("folder", ["data/FashionMNIST/raw", "data/fashion-mnist", ".keras/datasets/fashion-mnist"])
def test_fashion_mnist_is_found_where_other_tools_put_it(fresh_machine, folder):
    images = random_images(20, (1, 28, 28), 10)
    write_fashion_mnist(fresh_machine / folder, images, images)
    assert locate("fashion_mnist").location.as_posix().endswith(folder)


def test_what_is_said_where_nothing_is_found(tmp_path):
    with pytest.raises(DataMissing) as error:
        load(CIFAR10(name="cifar10"), evaluation="holdout", batch_size=8, seed=0, root=tmp_path / "data")
    assert str(error.value) == (
        "CIFAR-10 was not found. Looked in, and in folders like cifar10 below:\n"
        f"  {tmp_path}/data (not there)\n"
        "To get it:\n"
        "  bnnlab data fetch cifar10\n"
        "  hf download uoft-cs/cifar10 --repo-type dataset --local-dir data/cifar10   # parquet\n"
        "To use a copy that lies elsewhere: set data.root or the environment variable BNNLAB_DATA."
    )


def test_what_a_run_lacks_is_told_before_it_starts(fresh_machine, tmp_path):
    for name in ("digits", "synthetic"):
        require_present(TypeAdapter(DataConfig).validate_python({"name": name}))
    with pytest.raises(DataMissing, match="CIFAR-10 was not found"):
        require_present(CIFAR10(name="cifar10"))
    write(tmp_path / "cifar10")
    require_present(CIFAR10(name="cifar10"), root=tmp_path)
    require_present(CIFAR10(name="cifar10", root=tmp_path))
    with pytest.raises(DataMissing, match=r"needs data\.root"):
        require_present(Folder(name="folder", fingerprint="0" * 16, classes=2))


DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist_of_debian():
    import numpy as np

    from bnnlab.data.config import FashionMNIST
    from bnnlab.data.normalization import STATISTICS

    data = load(FashionMNIST(name="fashion_mnist", normalization="unit"), evaluation="paper", batch_size=512, seed=0)
    assert sum(len(y) for _, y in data.train_batches(0)) == 60_000
    labels = np.concatenate([y.numpy() for _, y in data.test_batches()])
    assert np.bincount(labels).tolist() == [1000] * 10
    pixels = load(
        FashionMNIST(name="fashion_mnist", normalization="unit", augmentation="none"),
        evaluation="paper",
        batch_size=60_000,
        seed=0,
    )
    ((images, _),) = pixels.train_batches(0)
    (mean,), (std,) = STATISTICS["fashion_mnist"]
    assert float(images.mean()) == pytest.approx(mean, abs=5e-5)
    assert float(images.std()) == pytest.approx(std, abs=5e-5)
