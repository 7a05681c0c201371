"""Pre-training as in the paper: a network starts from the weights of another."""

import pytest
import torch
from torch import nn

from bnnlab.models.config import MODELS, OPTIONS, build
from bnnlab.models.transfer import load_weights


def network(name: str, **options: object) -> nn.Module:
    size = {"width": 16} if "width" in OPTIONS[name].model_fields else {"growth_rate": 16}
    return build(OPTIONS[name].model_validate(size | options), image=(1, 8, 8), num_classes=3)


@pytest.mark.parametrize("name", MODELS)
def test_a_twin_starts_a_binary_network(name: str) -> None:
    twin, binary = network(name, precision="full"), network(name)

    load_weights(binary, twin.state_dict())

    parameters = dict(twin.named_parameters())
    assert all(torch.equal(parameter, parameters[key]) for key, parameter in binary.named_parameters())


def test_what_belongs_to_a_binarization_stays_the_networks_own() -> None:
    torch.manual_seed(0)
    source = network("resnet_e18", binarization={"estimator": "error_decay"})
    target = network("resnet_e18", binarization={"scaling": "learned"})
    with torch.no_grad():
        target.get_parameter("stages.0.0.conv.scale").fill_(2)

    load_weights(target, source.state_dict())

    assert (target.get_parameter("stages.0.0.conv.scale") == 2).all()
    assert torch.equal(target.get_parameter("stages.0.0.conv.weight"), source.get_parameter("stages.0.0.conv.weight"))


@pytest.mark.parametrize("options", [{"variant": "e2"}, {"width": 32}])
def test_other_layers_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"a network with other layers: .* the first is '"):
        load_weights(network("resnet_e18"), network("resnet_e18", **options).state_dict())
