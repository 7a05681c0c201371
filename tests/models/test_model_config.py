"""Configurations of networks: derived from signatures, resolved by the image, built."""

import subprocess
import sys

import pytest
import torch
from pydantic import BaseModel, ValidationError

from bnnlab.models.config import MODELS, OPTIONS, ModelConfig, build, resolve
from bnnlab.models.summary import summary


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
        ({"name": "resnet_e18", "width": 12}, "Input should be a multiple of 16"),
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


@pytest.mark.parametrize(("size", "stem"), [(8, "thumbnail"), (49, "thumbnail"), (50, "imagenet"), (224, "imagenet")])
def test_the_stem_follows_the_size_of_the_image(size: int, stem: str) -> None:
    resolved = resolve(OPTIONS["resnet_e18"].model_validate({}), (3, size, size))

    assert resolved.model_dump()["stem"] == stem
    assert resolve(resolved, (3, size, size)) == resolved


def test_a_choice_that_no_layer_reads_does_not_tell_configurations_apart() -> None:
    def resolved(**options: object) -> object:
        return resolve(OPTIONS["resnet_e18"].model_validate(options), (3, 32, 32))

    def binarized(**choices: object) -> object:
        return resolved(binarization=choices)

    assert binarized(scaling="xnor", output="popcount") == binarized(scaling="xnor", output="signed")
    assert binarized(estimator="polynomial", window=1.3) == binarized(estimator="polynomial")
    assert binarized(weight_estimator="error_decay", weight_window=1) == binarized(weight_estimator="error_decay")
    assert binarized(window=1.3) != binarized()
    assert binarized(weight_window=1) != binarized()
    assert resolved(precision="full", binarization={"scaling": "xnor"}) == resolved(precision="full")


def test_what_a_study_leaves_out_of_a_binarization_is_the_networks_own() -> None:
    config = OPTIONS["xnor_resnet18"].model_validate({"binarization": {"window": 1.3}})

    assert (config.binarization.scaling, config.binarization.window) == ("xnor", 1.3)
    assert OPTIONS["resnet_v1_18"].model_validate({}).binarization.scaling == "none"


# Far smaller than the authors' networks; those without a width have a growth rate.
SMALL = {name: {"width": 16} if "width" in OPTIONS[name].model_fields else {"growth_rate": 16} for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("image", [(1, 8, 8), (1, 28, 28), (3, 64, 64)], ids=str)
def test_every_network_has_gradients_everywhere(name: str, image: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    network = build(OPTIONS[name].model_validate(SMALL[name]), image=image, num_classes=7)

    logits = network(torch.randn(2, *image))
    logits.square().sum().backward()

    assert logits.shape == (2, 7)
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


@pytest.mark.parametrize("size", [28, 32, 224])
@pytest.mark.parametrize("name", ["resnet_e18", "binary_densenet28", "resnet_v1_18", "bireal_net18", "meliusnet22"])
def test_odd_images_are_halved_upwards(name: str, size: int) -> None:
    """28 -> 14 -> 7 -> 4: the pooled shortcut agrees with the strided convolution."""
    stages = [size] if size < 50 else [size // 4]
    for _ in range(3):
        stages.append(-(-stages[-1] // 2))

    layers = summary(name, input_size=size, options=SMALL[name])["layers"]
    convolutions = [layer["output_shape"][1] for layer in layers if layer["kind"] == "BinaryConv2d"]

    assert sorted(set(convolutions), reverse=True) == stages


def test_slices_split_a_block_into_more_and_narrower_ones_of_equal_size() -> None:
    def binary_convolutions(slices: int) -> list[dict[str, object]]:
        layers = summary("resnet_e18", input_size=32, classes=10, options={"slices": slices})["layers"]
        return [layer for layer in layers if layer["kind"] == "BinaryConv2d"]

    whole, halves = binary_convolutions(1), binary_convolutions(2)

    # 16 convolutions, of which the three that halve the image stay whole
    assert (len(whole), len(halves)) == (16, 3 + 2 * 13)
    assert sum(layer["params_binary"] for layer in whole) == sum(layer["params_binary"] for layer in halves)
    assert [layer["output_shape"][0] for layer in halves[:5]] == [32] * 5


def test_each_slice_is_written_in_turn() -> None:
    torch.manual_seed(0)
    options = OPTIONS["resnet_e18"].model_validate({"slices": 4, "width": 16})
    stage = build(options, image=(1, 8, 8), num_classes=3).get_submodule("stages.0")
    x = torch.randn(1, 16, 8, 8)

    for position, block in enumerate(stage.children()):
        changed = (block(x) != x).flatten(2).any(2)[0].nonzero().flatten().tolist()
        assert changed == list(range(4 * (position % 4), 4 * (position % 4) + 4))


def test_a_configuration_is_read_without_torch() -> None:
    code = (
        "import sys, bnnlab.models.config as c; c.resolve(c.OPTIONS['resnet_e18'](), (3, 32, 32));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'mlflow', 'pytorch_lightning')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
