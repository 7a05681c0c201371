"""The small public data sets in every shape in which they are published: same images, same run."""

from __future__ import annotations

import gzip
import pickle
import tarfile

import numpy as np
import pytest
import torch
from data_files import (
    cifar_binary,
    cifar_files,
    idx,
    random_images,
    write_cifar,
    write_fashion_mnist,
    write_parquet,
)

from bnnlab.data import cifar, fashion_mnist
from bnnlab.data.config import CIFAR10, CIFAR100, FashionMNIST
from bnnlab.data.errors import DataDamaged
from bnnlab.data.loading import load

VERSIONS = ["binary", "python", "binary archive", "python archive", "parquet"]


def train_and_test(variant):
    classes = 100 if variant == "cifar100" else 10
    return random_images(200, (3, 32, 32), classes), random_images(100, (3, 32, 32), classes, seed=1)


def batches(config, root, evaluation="holdout"):
    data = load(config, evaluation=evaluation, batch_size=32, seed=1, root=root)
    return [*data.train_batches(0), *data.val_batches(), *data.test_batches()]


def same(first, second):
    return len(first) == len(second) and all(
        torch.equal(x, x2) and torch.equal(y, y2) for (x, y), (x2, y2) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("variant", ["cifar10", "cifar100"])
def test_every_version_of_cifar_gives_the_same_batches(variant, tmp_path, published_size):
    train, test = train_and_test(variant)
    published_size(variant, 200, 100)
    config = (CIFAR10 if variant == "cifar10" else CIFAR100)(name=variant, validation_per_class=1)
    runs = {}
    for version in VERSIONS:
        write_cifar(tmp_path / version, variant, train, test, version)
        runs[version] = batches(config, tmp_path / version)
    for version in VERSIONS[1:]:
        assert same(runs["binary"], runs[version]), version


@pytest.mark.parametrize("variant", ["cifar10", "cifar100"])
@pytest.mark.parametrize("version", VERSIONS)
def test_cifar_keeps_pixels_and_labels(variant, version, tmp_path):
    train, test = train_and_test(variant)
    write_cifar(tmp_path, variant, train, test, version)
    found = cifar.read(cifar.VARIANTS[variant], cifar.find(cifar.VARIANTS[variant], tmp_path))
    for expected, read in ((train, found.train), (test, found.test)):
        assert np.array_equal(read.pixels, expected[0])
        assert np.array_equal(read.labels, expected[1])


def test_parquet_in_the_hubs_other_order_gives_the_same_run(tmp_path, published_size):
    train, test = train_and_test("cifar10")
    published_size("cifar10", 200, 100)
    order = np.random.default_rng(0).permutation(200)
    write_cifar(tmp_path / "a", "cifar10", train, test, "parquet")
    write_cifar(tmp_path / "b", "cifar10", (train[0][order], train[1][order]), test, "parquet")
    config = CIFAR10(name="cifar10", validation_per_class=2)
    assert same(batches(config, tmp_path / "a"), batches(config, tmp_path / "b"))


def test_a_pickle_that_python_3_wrote_anew_is_read_too(tmp_path):
    train, test = train_and_test("cifar10")
    for name, content in cifar_files("cifar10", train, test, "python").items():
        original = pickle.loads(content, encoding="bytes")  # trusted: written two lines above
        for protocol in (2, 4):
            (tmp_path / name).write_bytes(pickle.dumps(original, protocol=protocol))
    found = cifar.read(cifar.VARIANTS["cifar10"], cifar.find(cifar.VARIANTS["cifar10"], tmp_path))
    assert np.array_equal(found.train.pixels, train[0])


def test_fashion_mnist_plain_and_gzipped_give_the_same_batches(tmp_path, published_size):
    train, test = random_images(60, (1, 28, 28), 10), random_images(20, (1, 28, 28), 10, seed=1)
    published_size("fashion_mnist", 60, 20)
    write_fashion_mnist(tmp_path / "gz", train, test, gz=True)
    write_fashion_mnist(tmp_path / "plain", train, test, gz=False)
    config = FashionMNIST(name="fashion_mnist", validation_per_class=2)
    runs = [batches(config, tmp_path / name) for name in ("gz", "plain")]
    assert same(*runs)
    found = fashion_mnist.read(fashion_mnist.find(tmp_path / "plain"))
    assert np.array_equal(found.train.pixels, train[0])
    assert np.array_equal(found.test.labels, test[1])


def damaged(read, path):
    """The message of the error that reading raises, with the folder left out."""
    with pytest.raises(DataDamaged) as error:
        read()
    return str(error.value).replace(str(path), "DIR")


class TestDamagedFashionMnist:
    @pytest.fixture
    def folder(self, tmp_path):
        write_fashion_mnist(
            tmp_path, random_images(60, (1, 28, 28), 10), random_images(20, (1, 28, 28), 10), gz=False
        )
        return tmp_path

    def message(self, folder):
        return damaged(lambda: fashion_mnist.read(fashion_mnist.find(folder)), folder)

    def test_cut_short(self, folder):
        path = folder / "train-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[:-1000])
        assert self.message(folder) == (
            "DIR/train-images-idx3-ubyte: 46040 bytes of data where its header announces 60x28x28 = 47040."
            " Fetch it again"
        )

    def test_gzip_cut_short(self, folder):
        (folder / "t10k-labels-idx1-ubyte").unlink()
        whole = gzip.compress(idx(np.zeros(20, np.uint8)), mtime=0)
        (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(whole[:-9])
        assert self.message(folder) == (
            "DIR/t10k-labels-idx1-ubyte.gz: the gzip data is cut short or damaged (Compressed file ended"
            " before the end-of-stream marker was reached). Fetch it again"
        )

    def test_a_web_page_in_its_place(self, folder):
        (folder / "t10k-images-idx3-ubyte").write_bytes(b"<!DOCTYPE html>")
        assert self.message(folder) == (
            "DIR/t10k-images-idx3-ubyte: begins with 3c 21 44 4f, where an IDX file of 3-dimensional bytes"
            " begins with 00 00 08 03"
        )

    def test_an_empty_file(self, folder):
        (folder / "train-labels-idx1-ubyte").write_bytes(b"")
        assert self.message(folder).startswith("DIR/train-labels-idx1-ubyte: begins with nothing, where")

    def test_labels_of_another_part(self, folder):
        labels = (folder / "t10k-labels-idx1-ubyte").read_bytes()
        (folder / "train-labels-idx1-ubyte").write_bytes(labels)
        assert self.message(folder) == (
            "DIR/train-labels-idx1-ubyte: 20 labels for the 60 images of train-images-idx3-ubyte"
        )

    def test_a_label_out_of_range(self, folder):
        (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([1] * 7 + [10] + [1] * 12, np.uint8)))
        assert self.message(folder) == (
            "DIR/t10k-labels-idx1-ubyte: label 10 at place 7; Fashion-MNIST has 0 to 9"
        )

    def test_a_file_that_is_not_there(self, folder):
        (folder / "train-labels-idx1-ubyte").unlink()
        assert self.message(folder) == (
            "DIR: a part of the IDX files is here, but not train-labels-idx1-ubyte.gz. Add what is missing,"
            " or name another copy with data.root"
        )


class TestDamagedCifar:
    variant = cifar.VARIANTS["cifar10"]

    def message(self, folder):
        return damaged(lambda: cifar.read(self.variant, cifar.find(self.variant, folder)), folder)

    def write(self, folder, version):
        train, test = train_and_test("cifar10")
        write_cifar(folder, "cifar10", train, test, version)

    def test_binary_cut_short(self, tmp_path):
        self.write(tmp_path, "binary")
        path = tmp_path / "data_batch_3.bin"
        path.write_bytes(path.read_bytes()[:-1])
        assert self.message(tmp_path) == (
            "DIR: data_batch_3.bin: 122919 bytes are not a whole number of records; one of CIFAR-10 has"
            " 3073 bytes. Fetch it again"
        )

    def test_binary_with_a_label_out_of_range(self, tmp_path):
        self.write(tmp_path, "binary")
        pixels, _ = random_images(4, (3, 32, 32), 4)
        (tmp_path / "test_batch.bin").write_bytes(cifar_binary(pixels, np.array([0, 1, 17, 3])))
        assert self.message(tmp_path) == "DIR: test_batch.bin: label 17 at image 2; CIFAR-10 has 0 to 9"

    def test_a_batch_that_is_not_there(self, tmp_path):
        self.write(tmp_path, "python")
        (tmp_path / "data_batch_2").unlink()
        assert "here, but not data_batch_2." in self.message(tmp_path)

    def test_python_cut_short(self, tmp_path):
        self.write(tmp_path, "python")
        path = tmp_path / "data_batch_5"
        path.write_bytes(path.read_bytes()[:50_000])
        assert self.message(tmp_path).startswith("DIR: data_batch_5: not a whole pickle of arrays (")

    def test_the_other_cifar_under_this_name(self, tmp_path):
        self.write(tmp_path, "python")
        hundred = cifar_files("cifar100", *train_and_test("cifar100"), "python")
        (tmp_path / "test_batch").write_bytes(hundred["test"])
        assert self.message(tmp_path) == (
            "DIR: test_batch: holds batch_label, data, fine_labels, where the python version of CIFAR-10 has"
            " an array 'data' and a list 'labels'"
        )

    def test_a_pickle_that_would_run_a_program_is_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (eval, (f"open({str(tmp_path / 'owned')!r}, 'w')",))

        self.write(tmp_path, "python")
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Evil()}, protocol=2))
        assert self.message(tmp_path) == (
            "DIR: data_batch_1: the pickle asks for __builtin__.eval, which a data file has no use for."
            " It was not run; do not open this file with anything else"
        )
        assert not (tmp_path / "owned").exists()

    def test_a_pickle_with_an_array_of_objects(self, tmp_path):
        self.write(tmp_path, "python")
        content = {b"data": np.array([{}], dtype=object), b"labels": [0]}
        (tmp_path / "data_batch_1").write_bytes(pickle.dumps(content, protocol=2))
        assert "DIR: data_batch_1: not a whole pickle" in self.message(tmp_path)

    def test_archive_cut_short(self, tmp_path):
        self.write(tmp_path, "binary archive")
        path = tmp_path / "cifar-10-binary.tar.gz"
        path.write_bytes(path.read_bytes()[:-2000])
        assert self.message(tmp_path).startswith("DIR/cifar-10-binary.tar.gz: cut short or not a tar archive")

    def test_archive_of_something_else(self, tmp_path):
        with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz"):
            pass
        assert self.message(tmp_path).startswith(
            "DIR/cifar-10-binary.tar.gz: holds no data_batch_1.bin, data_b"
        )

    def test_parquet_cut_short(self, tmp_path):
        self.write(tmp_path, "parquet")
        path = tmp_path / "train-00000-of-00001.parquet"
        path.write_bytes(path.read_bytes()[:-100])
        assert self.message(tmp_path).startswith("DIR/train-00000-of-00001.parquet: not a whole parquet file")

    def test_parquet_shard_that_is_not_there(self, tmp_path):
        self.write(tmp_path, "parquet")
        (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00001-of-00002.parquet")
        assert "here, but not train-00000-of-00002.parquet." in self.message(tmp_path)

    def test_parquet_without_the_labels(self, tmp_path):
        self.write(tmp_path, "parquet")
        write_parquet(tmp_path / "test-00000-of-00001.parquet", [b""], {"fine_label": [0]}, image="img")
        assert self.message(tmp_path) == (
            "DIR/test-00000-of-00001.parquet: has the columns img, fine_label, and none called label"
        )

    def test_parquet_with_a_damaged_image(self, tmp_path):
        self.write(tmp_path, "parquet")
        write_parquet(tmp_path / "test-00000-of-00001.parquet", [b"\x89PNG\r\n"], {"label": [0]}, image="img")
        assert self.message(tmp_path).startswith(
            "DIR/test-00000-of-00001.parquet: row 0: not a whole image ("
        )

    def test_fewer_images_than_were_published(self, tmp_path):
        self.write(tmp_path, "binary")
        message = damaged(lambda: batches(CIFAR10(name="cifar10"), tmp_path), tmp_path)
        assert (
            message == "DIR: 200 training and 100 test images; CIFAR-10 has 50,000 and 10,000. Fetch it again"
        )


@pytest.mark.slow
def test_cifar10_of_its_published_size(tmp_path):
    train, test = random_images(50_000, (3, 32, 32), 10), random_images(10_000, (3, 32, 32), 10, seed=1)
    write_cifar(tmp_path, "cifar10", train, test, "binary")
    data = load(CIFAR10(name="cifar10"), evaluation="holdout", batch_size=128, seed=0, root=tmp_path)
    sizes = [
        sum(len(y) for _, y in part)
        for part in (data.train_batches(0), data.val_batches(), data.test_batches())
    ]
    assert sizes == [45_000, 5_000, 10_000]
