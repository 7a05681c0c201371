"""Starting a network from the weights of another one: a full-precision twin, another estimator or scaling."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

OWN = ("progress", "scale")
"""What only some binarizations have, a schedule's progress and learned scales, stays the network's own."""


def load_weights(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load the state dict of a network with the same layers, whatever its precision and binarization.

    A latent weight starts as the source's weight; BatchNorm statistics come along.
    Raises: ValueError if the two differ in more than how they binarize.
    """
    mine = network.state_dict()

    def shared(names: Mapping[str, Tensor]) -> set[str]:
        return {name for name in names if name.rpartition(".")[2] not in OWN}

    apart = sorted(shared(mine) ^ shared(state)) or sorted(
        name for name in shared(mine) if mine[name].shape != state[name].shape
    )
    if apart:
        raise ValueError(
            f"the weights are of a network with other layers: {len(apart)} differ, the first is {apart[0]!r}"
        )
    network.load_state_dict({**mine, **{name: state[name] for name in shared(state)}})
