"""Latent weights: which they are, clipping, Bop, scheduled estimators, telemetry."""

import io
from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.bop import Bop
from bnnlab.nn.latent import clip_latent_weights_, latent_weights, split_parameters
from bnnlab.nn.layers import BinaryConv2d, BinaryLinear
from bnnlab.nn.progress import set_progress
from bnnlab.nn.telemetry import ActivationWatch, Telemetry, flip_ratio, share_outside_window, weight_signs


def small_network(**choices: object) -> nn.Sequential:
    torch.manual_seed(0)
    binarization = Binarization.model_validate(choices)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        BinaryConv2d(4, 6, 3, padding=1, binarization=binarization),
        nn.BatchNorm2d(6),
        nn.Flatten(),
        BinaryLinear(6 * 4 * 4, 3, binarization=binarization),
    )


def test_parameters_split_into_latent_weights_and_the_others() -> None:
    network = small_network(scaling="learned")
    network[1].weight.requires_grad_(False)

    latent, others = split_parameters(network)

    assert list(latent_weights(network)) == ["2", "5"]
    assert [p.shape for p in latent] == [(6, 4, 3, 3), (3, 96)]
    # float convolution, shift of the first BatchNorm, scales of both layers, second BatchNorm
    assert len(others) == 1 + 1 + 2 + 2


def test_clipping_touches_latent_weights_only_and_only_if_asked() -> None:
    network = small_network(weight_clip=0.1)
    before = network[0].weight.clone()

    clip_latent_weights_(network)

    assert network[2].weight.abs().max() == 0.1
    assert torch.equal(network[0].weight, before)
    unclipped = small_network()
    clip_latent_weights_(unclipped)
    assert unclipped[2].weight.abs().max() > 0.1


def test_bop_flips_where_the_average_gradient_is_strong_and_has_the_sign_of_the_weight() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 1.0, -1.0, -1.0, 1.0, -0.0]))
    optimizer = Bop([weight], lr=0.5, threshold=0.25)

    weight.grad = torch.tensor([1.0, -1.0, -1.0, 1.0, 0.5, 1.0])
    optimizer.step()  # averages: 0.5, -0.5, -0.5, 0.5, 0.25, 0.5

    assert weight.tolist() == [-1.0, 1.0, 1.0, -1.0, 1.0, -1.0]

    weight.grad = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.5, 0.0])
    optimizer.step()  # averages: 0.25, -0.25, -0.25, 0.25, 0.375, 0.25

    assert weight.tolist() == [-1.0, 1.0, 1.0, -1.0, -1.0, -1.0]


def test_bop_goes_on_from_a_checkpoint() -> None:
    def trained(steps: int, checkpoint: bytes | None = None) -> tuple[torch.Tensor, bytes]:
        network = small_network()
        latent, others = split_parameters(network)
        optimizers = [Bop(latent, lr=0.1, threshold=0.0), torch.optim.Adam(others)]
        if checkpoint is not None:
            states = torch.load(io.BytesIO(checkpoint), weights_only=True)
            network.load_state_dict(states[0])
            for optimizer, state in zip(optimizers, states[1:], strict=True):
                optimizer.load_state_dict(state)
        x, y = torch.randn(16, 1, 4, 4, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3
        for _ in range(steps):
            network.zero_grad()
            F.cross_entropy(network(x), y).backward()
            for optimizer in optimizers:
                optimizer.step()
        file = io.BytesIO()
        torch.save([network.state_dict(), *(optimizer.state_dict() for optimizer in optimizers)], file)
        return network[2].weight.detach(), file.getvalue()

    _, halfway = trained(3)

    assert torch.equal(trained(3, halfway)[0], trained(6)[0])


@pytest.mark.parametrize("options", [{"lr": 0.0}, {"lr": 1.5}, {"threshold": -1.0}])
def test_bop_refuses_what_is_no_average_and_no_threshold(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="of Bop is"):
        Bop([nn.Parameter(torch.ones(1))], **options)


def test_a_scheduled_estimator_goes_on_from_a_checkpoint() -> None:
    network = small_network(estimator="error_decay")
    set_progress(network, 0.75)

    resumed = small_network(estimator="error_decay")
    resumed.load_state_dict(network.state_dict())

    x = torch.linspace(-1, 1, 5, requires_grad=True)
    (at_three_quarters,) = torch.autograd.grad(resumed[2].sign_input(x).sum(), x)
    t = 10**0.5
    assert torch.allclose(at_three_quarters, t * (1 - torch.tanh(t * x) ** 2))


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_progress_is_a_share(fraction: float) -> None:
    with pytest.raises(ValueError, match="goes from 0 to 1"):
        set_progress(small_network(), fraction)


def test_flips_are_counted_over_all_binary_weights() -> None:
    network = small_network()
    before = weight_signs(network)

    with torch.no_grad():
        network[2].weight[0].neg_()  # 36 of 6 * 36 + 3 * 96 weights

    assert flip_ratio(before, weight_signs(network)) == 36 / (216 + 288)


def test_latent_weights_outside_their_window() -> None:
    network = small_network(weight_window=0.5)
    with torch.no_grad():
        network[2].weight.fill_(0.5)  # inclusive: inside
        network[5].weight.fill_(-0.51)

    assert share_outside_window(network) == 288 / (216 + 288)


def test_masked_activations_and_mean_signs_are_those_of_the_inputs() -> None:
    network = nn.Sequential(BinaryLinear(4, 2, binarization=Binarization(window=1.0)))
    x = torch.tensor([[0.5, 1.0, -1.5, 2.0], [0.0, -0.0, -3.0, 1.0]])

    with ActivationWatch(network) as watch:
        network(x)
    network(-x)  # no longer watched

    assert watch.seen == {"0": (0.5, 3 / 8)}


def test_a_watch_looks_at_so_many_images() -> None:
    network = nn.Sequential(BinaryLinear(1, 1, binarization=Binarization()))

    with ActivationWatch(network, images=2) as watch, torch.no_grad():
        network(torch.tensor([[1.0], [2.0], [-3.0]]))

    assert watch.seen == {"0": (1.0, 0.5)}


def test_telemetry_goes_from_one_measurement_to_the_next() -> None:
    network = small_network()
    telemetry = Telemetry(network)

    first = telemetry.measure()
    with torch.no_grad():
        network[5].weight.neg_()
    with telemetry.watch:
        network(torch.randn(8, 1, 4, 4))
    second = telemetry.measure()

    assert first == {"flip_ratio": 0.0, "latent_outside_window": share_outside_window(network)}
    assert second["flip_ratio"] == 288 / (216 + 288)
    assert set(second) - set(first) == {"activations_masked", "mean_sign/2", "mean_sign/5"}
    assert telemetry.measure()["flip_ratio"] == 0.0


def test_watching_does_not_change_what_is_trained() -> None:
    gradients = []
    for watched in (False, True):
        network = small_network()
        watch = ActivationWatch(network)
        x = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))
        with watch if watched else nullcontext():
            network(x).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])

    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_a_float_network_has_no_telemetry() -> None:
    assert Telemetry(nn.Linear(2, 2)).measure() == {}
