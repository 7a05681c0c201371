"""Configurations of networks: derived from signatures, resolved by the image, built."""

import subprocess
import sys

import pytest
import torch
from pydantic import BaseModel, ValidationError

from bnnlab.models.config import MODELS, OPTIONS, ModelConfig, build, resolve


class Holder(BaseModel):
    model: ModelConfig


def test_a_configuration_is_chosen_by_name_and_has_the_arguments_of_the_variant() -> None:
    config = Holder.model_validate({"model": {"name": "resnet_e18", "variant": "e2", "width": 16}}).model

    assert type(config) is OPTIONS["resnet_e18"]
    assert config.model_dump(include={"name", "variant", "stem", "downsampling", "width"}) == {
        "name": "resnet_e18",
        "variant": "e2",
        "stem": "auto",
        "downsampling": "fp",
        "width": 16,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "resnet_e19"},
            "Input tag 'resnet_e19' found using 'name' does not match any",
        ),
        ({"name": "resnet_e18", "widht": 16}, "Extra inputs are not permitted"),
        ({"name": "resnet_e18", "width": 12}, "Input should be a multiple of 8"),
        ({"name": "resnet_e18", "variant": "e3"}, "Input should be 'e1' or 'e2'"),
        ({"name": "resnet_e18", "num_classes": 10}, "Extra inputs are not permitted"),
        ({"name": "resnet_e18", "binarization": {"estimator": "st"}}, "Input should be 'ste'"),
    ],
)
def test_a_wrong_option_is_an_error(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Holder.model_validate({"model": options})


def test_a_configuration_survives_json() -> None:
    for options in OPTIONS.values():
        config = options.model_validate({})
        assert Holder.model_validate_json(Holder(model=config).model_dump_json()).model == config


@pytest.mark.parametrize(
    ("size", "stem"), [(8, "thumbnail"), (49, "thumbnail"), (50, "imagenet"), (224, "imagenet")]
)
def test_the_stem_follows_the_size_of_the_image(size: int, stem: str) -> None:
    resolved = resolve(OPTIONS["resnet_e18"].model_validate({}), (3, size, size))

    assert resolved.model_dump()["stem"] == stem
    assert resolve(resolved, (3, size, size)) == resolved


def test_the_output_transform_means_nothing_beside_a_scale() -> None:
    popcount, signed = (
        OPTIONS["resnet_e18"].model_validate({"binarization": {"scaling": "xnor", "output": output}})
        for output in ("popcount", "signed")
    )

    assert resolve(popcount, (3, 32, 32)) == resolve(signed, (3, 32, 32))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("image", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
def test_every_network_learns_on_small_images(name: str, image: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = build(OPTIONS[name].model_validate({"width": 8}), image=image, num_classes=7)

    logits = network(torch.randn(2, *image))
    logits.square().sum().backward()

    assert logits.shape == (2, 7)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_a_configuration_is_read_without_torch() -> None:
    code = (
        "import sys, bnnlab.models.config as c; c.resolve(c.OPTIONS['resnet_e18'](), (3, 32, 32));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mlflow', 'pytorch_lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
