"""What of the data is part of a run's name, and what is a mistake before anything starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from bnnlab.data.config import DataConfig, image_shape, num_classes

ADAPTER = TypeAdapter(DataConfig)
FOLDER = {"fingerprint": "0123456789abcdef", "classes": 7}


def config(name, **fields):
    return ADAPTER.validate_python({"name": name, **(FOLDER if name == "folder" else {}), **fields})


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1, 8, 8), 10),
        ("synthetic", (1, 8, 8), 4),
        ("fashion_mnist", (1, 28, 28), 10),
        ("cifar10", (3, 32, 32), 10),
        ("cifar100", (3, 32, 32), 100),
        ("imagenet", (3, 224, 224), 1000),
        ("folder", (3, 224, 224), 7),
    ],
)
def test_the_plan_knows_shape_and_classes(name, shape, classes):
    assert image_shape(config(name)) == shape
    assert num_classes(config(name)) == classes


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar10", "cifar100", "imagenet", "folder"])
def test_where_the_files_lie_is_no_part_of_a_run(name):
    here, there = (config(name, root=f"/{place}") for place in ("here", "there"))
    assert (
        here.model_dump(mode="json") == there.model_dump(mode="json") == config(name).model_dump(mode="json")
    )
    assert str(here.root) == "/here"


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("digits", "augmentation", "shift2"),
        ("digits", "normalization", "none"),
        ("cifar10", "augmentation", "level3"),
        ("cifar10", "validation_per_class", 100),
        ("imagenet", "image_size", 160),
        ("imagenet", "resize", 280),
        ("imagenet", "max_damaged", 0.5),
        ("folder", "fingerprint", "f" * 16),
        ("folder", "test_share", 0.3),
        ("synthetic", "instance", 1),
    ],
)
def test_what_decides_a_result_is_part_of_it(name, field, value):
    assert config(name, **{field: value}).model_dump(mode="json") != config(name).model_dump(mode="json")


@pytest.mark.parametrize(
    "name", ["digits", "synthetic", "fashion_mnist", "cifar10", "cifar100", "imagenet", "folder"]
)
def test_a_configuration_survives_being_written_down(name):
    original = config(name)
    assert ADAPTER.validate_json(original.model_dump_json()) == original


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"name": "cifar10", "augmentation": "level4"},
            "Input should be 'none', 'level1', 'level2', 'level3'",
        ),
        ({"name": "cifar10", "image_size": 64}, "Extra inputs are not permitted"),
        (
            {"name": "imagenet", "resize": 100},
            "resize 100 is smaller than image_size 224",
        ),
        ({"name": "folder", "classes": 3, "fingerprint": "x"}, "String should match pattern"),
        ({"name": "mnist"}, "does not match any of the expected tags"),
    ],
)
def test_mistakes(fields, message):
    with pytest.raises(ValidationError) as error:
        ADAPTER.validate_python(fields)
    assert message in str(error.value)


def test_neither_torch_nor_numpy_is_imported_to_read_a_configuration():
    code = (
        "import sys; from pydantic import TypeAdapter; from bnnlab.data.config import *;"
        "[TypeAdapter(DataConfig).validate_python({'name': n}) for n in ('digits', 'cifar10', 'imagenet')];"
        "print({'torch', 'numpy', 'PIL', 'pyarrow', 'sklearn'} & set(sys.modules))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "set()\n"
