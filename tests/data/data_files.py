"""Writers of the public data sets' formats, byte for byte as their authors write them."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def random_images(count, shape, classes, seed=0):
    """Pixels (N, C, H, W) uint8, and labels that have each class equally often."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (count, *shape), dtype=np.uint8)
    return pixels, random.permutation(np.arange(count) % classes)


def png(pixels):
    """(C, H, W) as a PNG."""
    array = pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def jpeg(width, height, seed=0, **options):
    """A smooth colour JPEG."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", **options)
    return file.getvalue()


# IDX, as of MNIST and Fashion-MNIST


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_fashion_mnist(folder, train, test, gz=True):
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, (pixels, labels) in (("train", train), ("t10k", test)):
        for kind, array in (("images-idx3", pixels[:, 0]), ("labels-idx1", labels.astype(np.uint8))):
            name, raw = f"{prefix}-{kind}-ubyte", idx(array)
            if gz:
                (folder / f"{name}.gz").write_bytes(gzip.compress(raw, mtime=0))
            else:
                (folder / name).write_bytes(raw)


# CIFAR, binary and python versions


def cifar_binary(pixels, labels, coarse=None):
    head = [labels] if coarse is None else [coarse, labels]
    columns = [np.stack(head, 1).astype(np.uint8), pixels.reshape(len(pixels), -1)]
    return np.concatenate(columns, 1).tobytes()


def cifar_python(pixels, labels, key="labels"):
    """As Python 2 pickled it, at protocol 2: 8-bit strings, numpy.core, no memo entries needed to read it."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    def integer(value):
        return b"J" + struct.pack("<i", value)

    numbers = b"](" + b"".join(b"K" + bytes([int(label)]) for label in labels) + b"e"
    data = pixels.tobytes()
    dtype = (
        b"cnumpy\ndtype\n(" + text(b"u1") + integer(0) + integer(1) + b"tR"
        b"(" + integer(3) + text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb"
    )
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + integer(0) + b"t" + text(b"b") + b"tR"
        b"(" + integer(1) + b"(" + integer(len(pixels)) + integer(3072) + b"t" + dtype + b"\x89"
        b"T" + struct.pack("<i", len(data)) + data + b"tb"
    )
    label = text(b"batch_label") + text(b"training batch 1 of 5")
    return b"\x80\x02}(" + label + text(key.encode()) + numbers + text(b"data") + array + b"u."


def cifar_files(variant, train, test, version):
    """Names and contents of a copy of CIFAR-10 or CIFAR-100."""
    suffix = ".bin" if version == "binary" else ""
    if variant == "cifar10":
        cuts = np.array_split(np.arange(len(train[0])), 5)
        parts = {f"data_batch_{i}": (train[0][cut], train[1][cut]) for i, cut in enumerate(cuts, 1)}
        parts["test_batch"] = test
    else:
        parts = {"train": train, "test": test}
    files = {}
    for name, (pixels, labels) in parts.items():
        if version == "binary":
            coarse = labels // 5 if variant == "cifar100" else None
            files[name + suffix] = cifar_binary(pixels, labels, coarse)
        else:
            key = "fine_labels" if variant == "cifar100" else "labels"
            files[name + suffix] = cifar_python(pixels, labels, key)
    return files


def write_cifar(folder, variant, train, test, version):
    folder.mkdir(parents=True, exist_ok=True)
    if version == "parquet":
        for split, (pixels, labels) in (("train", train), ("test", test)):
            columns = {"fine_label": labels, "coarse_label": labels // 5}
            columns = columns if variant == "cifar100" else {"label": labels}
            images = [png(image) for image in pixels]
            write_parquet(folder / f"{split}-00000-of-00001.parquet", images, columns, image="img")
    elif version.endswith("archive"):
        version = version.removesuffix(" archive")
        stem = "cifar-10" if variant == "cifar10" else "cifar-100"
        with tarfile.open(folder / f"{stem}-{version}.tar.gz", "w:gz") as tar:
            for name, content in cifar_files(variant, train, test, version).items():
                add(tar, f"{stem}-batches/{name}", content)
    else:
        for name, content in cifar_files(variant, train, test, version).items():
            (folder / name).write_bytes(content)


# The Hugging Face hub, WebDataset


def write_parquet(path, images, columns, image="image", names=None, row_group_size=100):
    """As the library `datasets` writes a column of images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = names or [None] * len(images)
    structs = [{"bytes": encoded, "path": name} for encoded, name in zip(images, names, strict=True)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = {image: pa.array(structs, kind)} | {k: pa.array(v, pa.int64()) for k, v in columns.items()}
    pq.write_table(pa.table(table), path, row_group_size=row_group_size)


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def write_shard(path, samples, extension="jpg"):
    """`samples`: (key, encoded image, class number)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, encoded, label in samples:
            add(tar, f"{key}.{extension}", encoded)
            add(tar, f"{key}.cls", str(label).encode())


# Images for the tests of streaming


def shade(number):
    """A 12x12 RGB PNG of one colour, which names a number below 2^15 and survives any crop or resize."""
    return png(np.full((3, 12, 12), 0, np.uint8) + np.array(code(number), np.uint8)[:, None, None])


def code(number):
    return [(number >> shift & 31) * 8 for shift in (0, 5, 10)]


def number_of(image):
    """The number that a `shade` in [0, 255] names."""
    low, middle, high = (round(float(channel.float().mean())) // 8 for channel in image)
    return low + (middle << 5) + (high << 10)


class ShadeImages:
    """A set of shades held in no file. Some may be damaged; some can only be read in blocks."""

    def __init__(self, count, classes=2, block_size=None, damaged=()):
        self.labels = np.arange(count, dtype=np.int64) % classes
        self.names = [f"image {i}" for i in range(count)]
        self.blocks = None if block_size is None else np.arange(count, dtype=np.int64) // block_size
        self.damaged = set(damaged)

    def read(self, index):
        return shade(index)[: 40 if index in self.damaged else None]

    def where(self, index):
        return self.names[index]
