"""A folder of the user's own: its classes, its splits, and what makes two folders two data sets."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import torch
from data_files import code, number_of, png, shade
from pydantic import TypeAdapter, ValidationError

from bnnlab.data.config import DataConfig, Folder, image_shape, num_classes
from bnnlab.data.errors import DataDamaged, DataMissing
from bnnlab.data.loading import load

CLASSES = ["Äpfel", "birnen", "日本"]


def write_class_folders(root, classes=CLASSES, each=20, start=0):
    """Each image names its number; the class of image i is i // each."""
    for label, name in enumerate(sorted(classes, key=lambda name: unicodedata.normalize("NFC", name))):
        folder = root / name / ("nested" if label == 1 else "")
        folder.mkdir(parents=True)
        for i in range(each):
            number = start + label * each + i
            (folder / f"{number}.{'PNG' if i % 2 else 'png'}").write_bytes(shade(number))
    (root / name / "readme.txt").write_text("not an image")
    (root / name / ".hidden.png").write_bytes(b"")
    return root


def config(root, **fields):
    given = {"name": "folder", "root": root, "image_size": 8, "resize": 8, "augmentation": "none"}
    return TypeAdapter(DataConfig).validate_python({**given, "normalization": "none", **fields})


def numbers(batches):
    return sorted((number_of(x), int(y)) for xs, ys in batches for x, y in zip(xs, ys, strict=True))


def parts(root, evaluation="holdout", **fields):
    data = load(config(root, **fields), evaluation=evaluation, batch_size=8, seed=0, root=root)
    return [numbers(b) for b in (data.train_batches(0), data.val_batches(), data.test_batches())]


def test_a_plain_tree_is_split_into_three_parts_that_share_no_image(tmp_path):
    train, validation, test = parts(write_class_folders(tmp_path))
    assert sorted(train + validation + test) == [(i, i // 20) for i in range(60)]
    # 20 images a class: a fifth to test, a tenth of the other 16 to validate.
    for part, each in ((test, 4), (validation, 2), (train, 14)):
        assert np.bincount([label for _, label in part]).tolist() == [each] * 3
    assert parts(tmp_path) == [train, validation, test]


def test_the_paper_protocol_trains_on_all_but_the_test_images(tmp_path):
    write_class_folders(tmp_path)
    train, validation, test = parts(tmp_path)
    assert parts(tmp_path, evaluation="paper") == [sorted(train + validation), test, test]


@pytest.mark.parametrize("name", ["val", "test"])
def test_one_other_part_is_the_test_set(tmp_path, name):
    write_class_folders(tmp_path / "train")
    write_class_folders(tmp_path / name, each=2, start=1000)
    train, validation, test = parts(tmp_path)
    assert [number for number, _ in test] == list(range(1000, 1006))
    assert sorted(train + validation) == [(i, i // 20) for i in range(60)]
    assert len(validation) == 6


def test_three_parts_are_taken_as_they_are(tmp_path):
    for start, name in enumerate(("train", "val", "test")):
        write_class_folders(tmp_path / name, each=3, start=start * 1000)
    train, validation, test = parts(tmp_path)
    assert [part[0][0] for part in (train, validation, test)] == [0, 1000, 2000]
    assert parts(tmp_path, evaluation="paper") == [train, test, test]


def test_a_name_in_either_unicode_form_is_the_same_class(tmp_path):
    write_class_folders(tmp_path / "train")
    write_class_folders(tmp_path / "val", [unicodedata.normalize("NFD", name) for name in CLASSES], each=2)
    _, _, test = parts(tmp_path)
    assert [label for _, label in test] == [0, 0, 1, 1, 2, 2]


def test_fingerprint_and_classes_are_filled_in(tmp_path):
    found = config(write_class_folders(tmp_path))
    assert found.classes == num_classes(found) == 3
    assert image_shape(found) == (3, 8, 8)
    assert "root" not in found.model_dump()
    again = Folder.model_validate(found.model_dump())
    assert again.fingerprint == found.fingerprint, "a recorded configuration needs no folder"


def test_the_fingerprint_follows_contents_and_names_and_nothing_else(tmp_path):
    first = config(write_class_folders(tmp_path / "a")).fingerprint
    assert config(write_class_folders(tmp_path / "b")).fingerprint == first
    changed = tmp_path / "b" / "Äpfel" / "nested" / "25.PNG"
    changed.write_bytes(png(np.full((3, 12, 12), 9, np.uint8)))
    assert config(tmp_path / "b").fingerprint != first
    changed.write_bytes(shade(25))
    assert config(tmp_path / "b").fingerprint == first
    changed.rename(changed.with_name("other.png"))
    assert config(tmp_path / "b").fingerprint != first


def test_a_folder_that_changed_is_not_trained_on_under_its_old_name(tmp_path):
    old = config(write_class_folders(tmp_path))
    (tmp_path / "birnen" / "new.png").write_bytes(shade(99))
    with pytest.raises(DataDamaged) as error:
        load(old, evaluation="holdout", batch_size=8, seed=0, root=tmp_path)
    new = config(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: 61 images of 3 classes, fingerprint {new.fingerprint}; the configuration was made for 3"
        f" classes, fingerprint {old.fingerprint}. Point data.root at that folder, or leave out"
        " data.fingerprint and data.classes to use this one"
    )


def test_grey_images_enter_with_one_channel(tmp_path):
    root = write_class_folders(tmp_path)
    data = load(config(root, channels=1, normalization="standard"), evaluation="paper", batch_size=8, seed=0)
    images, _ = next(iter(data.test_batches()))
    assert images.shape == (8, 1, 8, 8)
    assert data.image == (1, 8, 8)
    mean, std = (123.68 + 116.779 + 103.939) / 3 / 255, (58.393 + 57.12 + 57.375) / 3 / 255
    seen = [x for batches in (data.train_batches(0), data.test_batches()) for xs, _ in batches for x in xs]
    greys = sorted(round((float(x.mean()) * std + mean) * 255, 2) for x in seen)
    expected = [np.array(code(i)) @ (0.299, 0.587, 0.114) for i in range(60)]
    assert greys == pytest.approx(sorted(expected), abs=0.6), "Pillow rounds a grey to a whole number"


def invalid(**fields):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(DataConfig).validate_python({"name": "folder", **fields})
    return [e["msg"].removeprefix("Value error, ") for e in error.value.errors()]


def test_mistakes_are_told_before_anything_is_trained(tmp_path):
    root = write_class_folders(tmp_path / "data")
    assert invalid(root=tmp_path / "none") == [f"{tmp_path / 'none'}: there is no such folder"]
    assert invalid(root=root, channels=1, augmentation="high") == [
        "augmentation high varies colours; with channels: 1 use medium"
    ]
    assert invalid(root=root, resize=100) == [
        "resize 100 is smaller than image_size 224, which is cut out of it"
    ]
    assert invalid() == ["Field required", "Field required"]
    (message,) = invalid(root=root / "Äpfel")
    assert message == (
        f"{root / 'Äpfel'}: has 1 folders of images, and a data set needs one for each of two or more"
        " classes: CLASS/image.jpg, or train/CLASS/image.jpg beside val/ or test/"
    )
    (root / "leer").mkdir()
    (message,) = invalid(root=root)
    kinds = ".jpg, .jpeg, .png, .webp, .gif, .bmp, .tif, .tiff, .ppm, .pgm"
    assert message == f"{root / 'leer'}: no image ({kinds}) of this class"


def test_a_class_that_training_does_not_know(tmp_path):
    write_class_folders(tmp_path / "train")
    write_class_folders(tmp_path / "val", [*CLASSES, "zitronen"], each=2)
    assert invalid(root=tmp_path) == [
        f"{tmp_path / 'val' / 'zitronen'}: the training images have no class of this name"
    ]


def test_without_a_root_there_is_nothing_to_read():
    recorded = Folder(name="folder", fingerprint="0" * 16, classes=3)
    with pytest.raises(DataMissing, match=r"needs data\.root"):
        load(recorded, evaluation="holdout", batch_size=8, seed=0)


def test_batches_are_the_same_from_a_copy_of_the_folder(tmp_path):
    runs = []
    for name in ("a", "b"):
        root = write_class_folders(tmp_path / name)
        chosen = config(root, augmentation="high", normalization="standard")
        runs.append(list(load(chosen, evaluation="holdout", batch_size=8, seed=5).train_batches(2)))
    for (x, y), (x2, y2) in zip(*runs, strict=True):
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
