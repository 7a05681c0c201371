"""ImageNet in its three shapes: the same images give the same labels, pixels and held-out images."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import torch
from data_files import add, jpeg, write_parquet, write_shard

from bnnlab.data import imagenet
from bnnlab.data.config import ImageNet
from bnnlab.data.errors import DataDamaged
from bnnlab.data.imagenet import identity
from bnnlab.data.loading import load

WNIDS = [f"n{i:08d}" for i in range(1000, 2000)]
CONFIG = ImageNet(
    name="imagenet", image_size=16, resize=20, validation_per_class=1, augmentation="high", max_damaged=0.01
)
SHAPES = ["class folders", "tar shards", "parquet"]


@pytest.fixture(scope="module")
def images():
    """(name, label, JPEG): two training images a class and one test image for every other class."""
    some = [jpeg(*size, seed=seed) for seed, size in enumerate([(40, 30), (24, 36), (33, 33)] * 5)]
    train = [
        (f"{wnid}_{i}", label, some[(label * 2 + i) % 15])
        for label, wnid in enumerate(WNIDS)
        for i in range(2)
    ]
    test = [(f"ILSVRC2012_val_{label:08d}", label, some[label % 15]) for label in range(0, 1000, 2)]
    return train, test


def write(folder, shape, images):
    train, test = images
    if shape == "class folders":
        for part, content in (("train", train), ("val", test)):
            for wnid in WNIDS:
                (folder / part / wnid).mkdir(parents=True)
            (folder / part / WNIDS[1] / "notes.txt").write_text("not an image")
            for name, label, encoded in content:
                (folder / part / WNIDS[label] / f"{name}.JPEG").write_bytes(encoded)
    elif shape == "tar shards":
        order = np.random.default_rng(0).permutation(len(train))
        for number, cut in enumerate(np.array_split(order, 7)):  # 2,000 into 7: odd counts
            samples = [(train[i][0], train[i][2], train[i][1]) for i in cut]
            write_shard(folder / f"imagenet1k-train-{number:04d}.tar", samples)
        samples = [(f"./{name}", encoded, label) for name, label, encoded in test]
        write_shard(folder / "imagenet1k-validation-00.tar", samples)
    else:
        order = np.random.default_rng(1).permutation(len(train))
        for number, cut in enumerate(np.array_split(order, 3)):
            write_parquet(
                folder / "data" / f"train-{number:05d}-of-00003.parquet",
                [train[i][2] for i in cut],
                {"label": [train[i][1] for i in cut]},
                names=[f"{train[i][0]}_{WNIDS[train[i][1]]}.JPEG" for i in cut],
            )
        write_parquet(
            folder / "data" / "validation-00000-of-00001.parquet",
            [encoded for _, _, encoded in test],
            {"label": [label for _, label, _ in test]},
            names=[f"{name}_{WNIDS[label]}.JPEG" for name, label, _ in test],
        )
        write_parquet(folder / "data" / "test-00000-of-00001.parquet", [b""], {"label": [-1]})
    return folder


@pytest.fixture(scope="module")
def copies(images, tmp_path_factory):
    return {shape: write(tmp_path_factory.mktemp("imagenet"), shape, images) for shape in SHAPES}


@pytest.fixture(autouse=True)
def _sizes(published_size):
    published_size("imagenet", 2000, 500)


def root_of(copies, shape):
    return copies[shape] / "data" if shape == "parquet" else copies[shape]


def by_name(part):
    """{name of the image: (label, encoded image)} of a part."""
    return {
        identity(part.images.names[i]): (part.images.labels[i], part.images.read(i))
        for i in map(int, part.chosen)
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_names_labels_and_bytes_are_kept(shape, copies, images):
    train, test = images
    splits = imagenet.read(imagenet.find(root_of(copies, shape)), 1)
    found = by_name(splits.train) | by_name(splits.validation)
    assert found == {name: (label, encoded) for name, label, encoded in train}
    assert by_name(splits.test) == {name: (label, encoded) for name, label, encoded in test}


def test_every_shape_holds_out_the_same_images(copies):
    held_out = [
        set(by_name(imagenet.read(imagenet.find(root_of(copies, shape)), 1).validation)) for shape in SHAPES
    ]
    assert len(held_out[0]) == 1000
    assert held_out[0] == held_out[1] == held_out[2]


def test_folders_and_shards_give_the_same_batches(copies):
    first, second = (
        load(CONFIG, evaluation="holdout", batch_size=250, seed=0, root=root_of(copies, shape))
        for shape in SHAPES[:2]
    )
    assert first.image == (3, 16, 16)
    assert first.num_classes == 1000
    for a, b in (
        (first.train_batches(1), second.train_batches(1)),
        (first.test_batches(), second.test_batches()),
    ):
        for (x, y), (x2, y2) in zip(a, b, strict=True):
            assert torch.equal(x, x2)
            assert torch.equal(y, y2)


def test_parquet_gives_the_same_test_images(copies):
    tested = []
    for shape in ("class folders", "parquet"):
        data = load(CONFIG, evaluation="paper", batch_size=64, seed=0, root=root_of(copies, shape))
        rows = [
            (int(y), x.numpy().tobytes())
            for xs, ys in data.test_batches()
            for x, y in zip(xs, ys, strict=True)
        ]
        tested.append(sorted(rows))
        assert sum(len(labels) for _, labels in data.train_batches(0)) == 2000
    assert tested[0] == tested[1]


def message(read, path):
    with pytest.raises(DataDamaged) as error:
        read()
    return str(error.value).replace(str(path), "DIR")


def read(folder):
    return imagenet.read(imagenet.find(folder), 1)


class TestDamagedCopies:
    def shards(self, folder, count=2):
        for part in ("train", "val"):
            write_shard(folder / f"{part}-0.tar", [(f"a/{i}", jpeg(9, 9, i), i) for i in range(count)])
        return folder / "train-0.tar"

    def test_a_shard_cut_between_two_images(self, tmp_path):
        path = self.shards(tmp_path)
        with tarfile.open(path) as tar:
            cut = tar.getmembers()[2].offset
        path.write_bytes(path.read_bytes()[:cut])
        assert message(lambda: read(tmp_path), tmp_path) == (
            "DIR/train-0.tar: cut short or not a tar archive (its end is missing). Fetch it again"
        )

    def test_a_shard_cut_within_an_image(self, tmp_path):
        path = self.shards(tmp_path)
        path.write_bytes(path.read_bytes()[:700])
        assert message(lambda: read(tmp_path), tmp_path).startswith("DIR/train-0.tar: cut short or not a tar")

    def test_an_image_without_its_class(self, tmp_path):
        path = self.shards(tmp_path)
        with tarfile.open(path, "a") as tar:
            add(tar, "a/9.jpg", jpeg(9, 9))
        assert message(lambda: read(tmp_path), tmp_path) == "DIR/train-0.tar: a/9 has no class number (.cls)"

    def test_a_class_that_is_no_number(self, tmp_path):
        path = self.shards(tmp_path)
        with tarfile.open(path, "a") as tar:
            add(tar, "a/9.cls", b"tench")
        assert message(lambda: read(tmp_path), tmp_path) == (
            "DIR/train-0.tar: a/9.cls: holds b'tench' where a class number is expected"
        )

    def test_a_class_out_of_range(self, tmp_path):
        self.shards(tmp_path)
        write_shard(tmp_path / "train-0.tar", [("a/1", jpeg(9, 9), 1000)])
        assert message(lambda: read(tmp_path), tmp_path) == (
            "DIR/train-0.tar: a/1: label 1000; ImageNet has 0 to 999"
        )

    def test_the_archive_of_image_net_org(self, tmp_path):
        self.shards(tmp_path)
        with tarfile.open(tmp_path / "ILSVRC2012_img_train.tar", "w") as tar:
            add(tar, "n01440764.tar", b"")
        assert message(lambda: read(tmp_path), tmp_path) == (
            "DIR/ILSVRC2012_img_train.tar: holds n01440764.tar and not images. This is an archive of"
            " image-net.org: unpack it, and each archive in it, into one folder a class"
        )

    def test_training_images_alone(self, tmp_path):
        (tmp_path / "train" / "n01440764").mkdir(parents=True)
        (tmp_path / "val").mkdir()
        (tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"")
        assert message(lambda: read(tmp_path), tmp_path) == (
            "DIR: a part of the class folders files is here, but not val/n01440764 and the other class"
            " folders of the validation images. Add what is missing, or name another copy with data.root"
        )

    def test_a_class_folder_that_is_not_there(self, copies, tmp_path):
        for part in ("train", "val"):
            for wnid in WNIDS[:999]:
                (tmp_path / part / wnid).mkdir(parents=True)
        assert message(lambda: read(tmp_path), tmp_path) == "DIR/train: 999 class folders; ImageNet has 1000"

    def test_fewer_images_than_were_published(self, tmp_path):
        self.shards(tmp_path, count=5)
        found = message(
            lambda: load(
                CONFIG.model_copy(update={"validation_per_class": 0}),
                evaluation="paper",
                batch_size=4,
                seed=0,
                root=tmp_path,
            ),
            tmp_path,
        )
        assert found == (
            "DIR: 5 training and 5 test images; ImageNet (ILSVRC 2012) has 2,000 and 500. Fetch it again"
        )

    def test_a_parquet_page_that_is_damaged(self, copies, tmp_path):
        for path in (copies["parquet"] / "data").iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        first = tmp_path / "train-00000-of-00003.parquet"
        content = bytearray(first.read_bytes())
        content[4:3000] = bytes(2996)
        first.write_bytes(content)
        data = load(CONFIG, evaluation="paper", batch_size=64, seed=0, root=tmp_path)
        assert "train-00000-of-00003.parquet: a page is damaged" in message(
            lambda: list(data.train_batches(0)), tmp_path
        )
